/** The guideline on a page of its own. */

import { Refused, call } from "./api.js";
import { byId, el } from "./dom.js";
import { grown } from "./tree.js";
import { t } from "./words.js";

const place = byId("guideline-text");
try {
  const { version, tree } = await call("GET", "/guideline");
  byId("guideline-version").textContent = version ? t("guideline.version", { n: version }) : "";
  place.replaceChildren(version ? grown(tree) : el("p", { class: "none" }, t("guideline.none")));
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  place.replaceChildren(el("p", { class: "notice bad", role: "alert" }, error.message));
}
place.removeAttribute("aria-busy");
