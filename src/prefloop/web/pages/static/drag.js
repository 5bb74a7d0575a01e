/** Dragging by mouse, pen or finger (pointer events), with no library; keys do the same elsewhere. */

const SLACK = 5;

/**
 * @param {HTMLElement} chip what is dragged
 * @param {HTMLElement[]} zones where it may be dropped
 * @param {(zone: HTMLElement) => void} dropped
 */
export function draggable(chip, zones, dropped) {
  /** @type {{x: number, y: number, id: number} | null} */
  let from = null;
  let moving = false;

  /** @param {PointerEvent} event */
  const under = (event) => zones.find((zone) => {
    const box = zone.getBoundingClientRect();
    return event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
  });
  const end = () => {
    from = null;
    moving = false;
    chip.classList.remove("dragging");
    chip.style.removeProperty("transform");
    for (const zone of zones) zone.classList.remove("over");
    setTimeout(() => delete chip.dataset.dragged, 0); // after the click that follows
  };

  chip.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    from = { x: event.clientX, y: event.clientY, id: event.pointerId };
    chip.setPointerCapture(event.pointerId);
  });
  chip.addEventListener("pointermove", (event) => {
    if (!from || event.pointerId !== from.id) return;
    const [x, y] = [event.clientX - from.x, event.clientY - from.y];
    if (!moving && Math.hypot(x, y) < SLACK) return;
    moving = true;
    chip.dataset.dragged = "1";
    chip.classList.add("dragging");
    chip.style.setProperty("transform", `translate(${x}px, ${y}px)`);
    const over = under(event);
    for (const zone of zones) zone.classList.toggle("over", zone === over);
  });
  chip.addEventListener("pointerup", (event) => {
    const zone = moving ? under(event) : undefined;
    end();
    if (zone) dropped(zone);
  });
  chip.addEventListener("pointercancel", end);
}
