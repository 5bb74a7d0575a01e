// Draws items with the page's own code and measures the boxes; returns a sentence for each that is wrong. See test_layout.py.
async ([combinations, axes, texts, TEXT, BAR, NARROWEST]) => {
  const { judge } = await import(document.querySelector('script[src$="judge.js"]').src);
  judge.queue.fill = async () => {};
  const wrong = [];
  const desk = innerWidth > 900;
  const box = (node) => node.getBoundingClientRect();
  const seen = (node) => node.checkVisibility() && box(node).width > 2 && !node.closest('.unseen');
  const all = (where) => [...document.querySelectorAll(where)].filter(seen);
  const CONTROLS = '#bar button, #bar .choice, #bar textarea, .editor, #tools button, .zone-name, .axis, .question';
  const covered = (node) => {
    const { left, top, width, height } = box(node);
    const there = document.elementFromPoint(left + width / 2, top + height / 2);
    return !there || !(node.contains(there) || there.contains(node));
  };
  const apart = (nodes, say) => {
    for (let a = 0; a < nodes.length; a += 1) for (let b = a + 1; b < nodes.length; b += 1) {
      const [one, two] = [box(nodes[a]), box(nodes[b])];
      if (nodes[a].contains(nodes[b]) || nodes[b].contains(nodes[a])) continue;
      const across = Math.min(one.right, two.right) - Math.max(one.left, two.left);
      const down = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
      if (across > 1 && down > 1) say(`${nodes[a].className || nodes[a].id} lies over ${nodes[b].className || nodes[b].id}`);
    }
  };
  const broken = (node) => [...node.textContent.matchAll(/\S+/g)].map((word) => {
    const part = document.createRange();
    part.setStart(node.firstChild, word.index);
    part.setEnd(node.firstChild, word.index + word[0].length);
    return new Set([...part.getClientRects()].map(({ top }) => top)).size > 1 ? word[0] : '';
  }).filter(Boolean);
  const measure = async (name) => {
    const say = (what) => wrong.push(`${innerWidth} ${name}: ${what}`);
    const root = document.documentElement;
    if (root.scrollWidth > innerWidth) say(`the page is ${root.scrollWidth} wide`);
    if (desk && root.scrollHeight > innerHeight) say(`the page is ${root.scrollHeight} high`);
    for (const node of all('#bar *, .pane-head, .pane-head *, .pane, .zone, #tools *')) {
      const inline = getComputedStyle(node).display === 'inline';
      if (!inline && node.scrollWidth > node.clientWidth + 1 && !node.matches('input, .undo-says, textarea')) say(`${node.className || node.tagName} is cut off: ${node.scrollWidth} in ${node.clientWidth}`);
      if (!inline && node.scrollHeight > node.clientHeight + 2 && !node.matches('input, textarea, kbd, .letter')) say(`${node.className || node.tagName} bursts: ${node.scrollHeight} in ${node.clientHeight}`);
    }
    const bar = document.querySelector('#bar');
    if (desk) for (const node of all('#bar, #bar button, #bar .choice, #tools button')) {
      const { left, right, top, bottom } = box(node);
      if (left < 0 || top < 0 || right > innerWidth + 1 || bottom > innerHeight + 1) say(`${node.className || node.id} is out of the window`);
    }
    if (!desk && box(bar).height > BAR * innerHeight) say(`the bar takes ${box(bar).height} of ${innerHeight}`);
    apart(all(CONTROLS), say);
    apart(all('.top, .conversation, .pane, #bar, #tools').filter((node) => desk || node.id !== 'bar'), desk ? () => {} : say);
    for (const node of all('.axis')) for (const word of broken(node)) say(`${word} is broken`);
    for (const node of all('#bar button, #bar .choice')) if (covered(node)) say(`${node.className || node.id} is covered`);
    for (const pane of all('.pane')) {
      const text = pane.querySelector('.pane-words, .editor');
      pane.scrollIntoView({ block: desk ? 'nearest' : 'end', behavior: 'instant' });
      apart([...pane.querySelectorAll('.given, .letter, .pane-words, .chosen-mark')], say);
      const [there, area, under] = [box(pane), box(pane.parentElement), box(bar).top];
      if (there.width < NARROWEST) say(`a response is ${there.width} wide`);
      if (there.bottom > under + 1) say(`a response is ${there.bottom - under} under the bar`);
      if (text.scrollWidth > text.clientWidth + 1) say('a text is cut off at its side');
      if (!desk) {
        if (text.matches('.pane-words') && text.scrollHeight > text.clientHeight + 1) say('a text scrolls within the page');
        continue;
      }
      if (there.top < area.top - 1 || there.bottom > area.bottom + 1) say(`a response does not fit: ${there.height} in ${area.height}`);
      if (text.clientHeight < Math.min(text.scrollHeight, TEXT * innerHeight)) say(`a text shows ${text.clientHeight} of ${text.scrollHeight}`);
      for (const node of pane.querySelectorAll('.given')) if (covered(node)) say('a mark is covered');
    }
    scrollTo(0, 0);
  };
  for (const [kind, responses, number, strength] of combinations) {
    const item = {
      id: `${kind}-${responses}-${number}-${strength}`, kind, purpose: 'work', guideline: 1, expires: Date.now(), draft: null,
      messages: [{ role: 'user', tree: texts.slice(0, 8).map((text) => ['p', {}, [text]]) }], axes: axes.slice(0, number), strength,
      responses: [...Array(responses).keys()].map((slot) => ({ slot, text: texts.join('\n'), tree: texts.map((text) => ['p', {}, [text]]) })),
      progress: { today: 3, left: 40 },
    };
    for (const open of desk ? [true, false] : [false]) {
      judge.guideline.open = open;
      judge.guideline.draw();
      judge.show(item);
      const name = `${kind} of ${responses} on ${number}${strength ? ' with strength' : ''}${open ? ' beside the guideline' : ''}`;
      await measure(name);
      const grades = Array(responses * number).fill(kind === 'thumb' ? 'down' : '4');
      const ranks = Array(responses).fill(2); // the widest: all in one place
      judge.shown.view.restore({ choice: 'both_bad', ranks, values: grades, slot: 0, text: texts.join('\n') });
      await measure(`${name}, answered`);
    }
  }
  return wrong;
}
