/** The adjudication page looks for what is new by itself when it is opened, and shows it. */

import { Refused, call } from "../api.js";
import { byId } from "../dom.js";
import { t } from "../words.js";

const FOUND = "prefloop.adjudication";
const line = byId("looked");

async function look() {
  const before = sessionStorage.getItem(FOUND);
  sessionStorage.removeItem(FOUND);
  if (before) {
    line.textContent = t("adjudication.found", { n: before }); // the page was loaded anew to show them
    return;
  }
  line.textContent = t("adjudication.looking");
  try {
    const made = await call("POST", "/lead/adjudication", {}, { limit: 120000 });
    const number = made.disagreement + made.reward_model;
    line.textContent = t("adjudication.nothing", { n: document.querySelectorAll("tbody form.act").length });
    if (!number) return;
    sessionStorage.setItem(FOUND, String(number));
    location.reload();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    line.textContent = t("desk.failed", { why: error.message });
  }
}

await look();
