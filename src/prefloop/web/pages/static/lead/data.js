/** The links to single files follow the choices above them. */

import { byId } from "../dom.js";

const form = /** @type {HTMLFormElement} */ (byId("out"));

function point() {
  const chosen = new URLSearchParams();
  for (const field of form.elements) if (field instanceof HTMLSelectElement) chosen.set(field.name, field.value);
  for (const link of document.querySelectorAll("a[data-export]")) {
    if (!(link instanceof HTMLAnchorElement)) continue;
    link.href = `/api/v1/export/${link.dataset.export}?${chosen}`;
    link.textContent = `${link.dataset.export}.${chosen.get("format")}`;
  }
}

form.addEventListener("change", point);
addEventListener("pageshow", point); // the browser may bring back what was chosen before
point();
