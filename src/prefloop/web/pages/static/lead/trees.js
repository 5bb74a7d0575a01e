/** Trees that the server wrote into the page: `data-tree` becomes elements, by the same allow-list as on the judging page. */

import { grown } from "../tree.js";

for (const place of document.querySelectorAll("[data-tree]")) {
  if (place instanceof HTMLElement) place.replaceChildren(grown(JSON.parse(place.dataset.tree ?? "[]")));
}
