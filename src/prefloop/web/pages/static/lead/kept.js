/** A lead who judged, was signed out and came back to the leads' pages: what is still kept in this browser is sent from here too. */

import { meta } from "../dom.js";
import { Outbox } from "../outbox.js";

const outbox = new Outbox(meta("user"));
if (outbox.waiting) outbox.again();
