// "Is this a particle?" on some sixty picks, and what the answers say about every threshold.

import { get, post } from "./api.js";

const byId = (id) => document.getElementById(id);
const percent = (value) => Math.round(100 * value);
const signed = (value, digits) => value.toFixed(digits).replace("-", "\u2212"); // a true minus
const FEWEST = 10; // answers, as on the server
const AROUND = 2.5; // diameters in a window

export class Audit {
  #store;
  #image;
  #questions = [];
  #result = null;
  #place = 0;
  #fetching = 0;
  #waiting = 0;
  #unsent = 0; // answers that the server does not have yet
  #posting = Promise.resolve(); // answers are sent one after the other

  constructor(store, image) {
    [this.#store, this.#image] = [store, image];
    byId("audit-open").addEventListener("click", () => this.open());
    byId("audit-yes").addEventListener("click", () => this.#answer("yes"));
    byId("audit-no").addEventListener("click", () => this.#answer("no"));
    byId("audit-back").addEventListener("click", () => this.#back());
    byId("audit-again").addEventListener("click", () => this.#start("audit-said"));
    byId("audit-label").addEventListener("click", () => this.#label());
    // Of the document: the last answer hides the button that has the focus.
    document.addEventListener("keydown", (event) => byId("audit").open && this.#key(event));
    byId("audit").addEventListener("close", () => store.refreshPicks());
    for (const name of ["picks", "threshold"]) store.addEventListener(name, () => this.#refresh());
  }

  async #refresh() {
    const { summary, diameter } = this.#store;
    byId("audit-section").hidden = !(summary?.scored && diameter);
    if (byId("audit-section").hidden) return;
    await this.#fetch();
  }

  // The newest answer counts: threshold and answers may change while an earlier one is on its way.
  async #fetch() {
    const turn = ++this.#fetching;
    const audit = await get("api/audit").catch(() => null);
    if (!audit || turn !== this.#fetching || this.#unsent) return; // what the server says is older than the page
    this.#questions = audit.questions;
    this.#result = audit.result;
    this.#show();
  }

  async open() {
    if (!this.#questions.length && !(await this.#start("audit-summary"))) return;
    this.#place = Math.max(0, this.#questions.findIndex((one) => !one.answer));
    byId("audit").showModal();
    this.#show();
  }

  // Draw questions; where that cannot be done, say why.
  async #start(place) {
    const audit = await asked("api/audit/start", place);
    if (audit) {
      [this.#questions, this.#result, this.#place] = [audit.questions, audit.result, 0];
      this.#show();
    }
    return audit;
  }

  get #given() {
    return this.#questions.filter((one) => one.answer).length;
  }

  async #answer(word) {
    const question = this.#questions[this.#place];
    if (!question) return;
    const row = this.#place;
    question.answer = word;
    const open = this.#questions.findIndex((one, k) => k > row && !one.answer);
    this.#place = open < 0 ? this.#questions.findIndex((one) => !one.answer) : open;
    if (this.#place < 0) this.#place = this.#questions.length;
    this.#show();
    this.#unsent += 1;
    const sent = this.#posting.then(() => post("api/audit/answer", { ...question, row, answer: word })).then(() => null, (error) => error);
    this.#posting = sent;
    const refused = await sent;
    this.#unsent -= 1;
    if (refused) {
      question.answer = "";
      await this.#fetch(); // another tab may have drawn other questions
      byId("audit-before").textContent = refused.message;
    }
    clearTimeout(this.#waiting); // answers come faster than they can be weighed
    if (this.#given >= FEWEST) this.#waiting = setTimeout(() => this.#fetch(), 300);
  }

  #back() {
    this.#place = Math.max(0, this.#place - 1);
    this.#show();
  }

  async #label() {
    const added = await asked("api/audit/label", "audit-said");
    if (added) byId("audit-said").textContent = `${added.labels} labels were added; train again to use them.`;
  }

  #key(event) {
    const action = {
      y: () => this.#answer("yes"),
      n: () => this.#answer("no"),
      u: () => this.#back(),
      Backspace: () => this.#back(),
    }[event.key];
    if (!action || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    if (!event.repeat) action(); // a key that is held answers once
  }

  #address({ index, x, y }) {
    const size = Math.max(8, AROUND * 2 * this.#store.radius);
    return `window/${index}?x=${x}&y=${y}&size=${size.toFixed(1)}&${this.#image.query}`;
  }

  #show() {
    const count = this.#questions.length;
    const question = this.#questions[this.#place];
    const open = this.#given < count;
    byId("audit-count").textContent = `${this.#given} of ${count} answered`;
    Object.assign(byId("audit-bar"), { max: Math.max(count, 1), value: this.#given });
    byId("audit-question").hidden = !question;
    byId("audit-over").hidden = Boolean(question);
    if (question) {
      byId("audit-window").src = this.#address(question);
      const before = { yes: "You said: a particle.", no: "You said: no particle." }[question.answer];
      byId("audit-before").textContent = before ?? "";
      const following = this.#questions.slice(this.#place + 1).find((one) => !one.answer);
      if (following) new Image().src = this.#address(following); // the server reads its micrograph meanwhile
    }
    const result = this.#result;
    byId("audit-result").hidden = !result;
    byId("audit-few").hidden = Boolean(result);
    byId("audit-few").textContent = this.#given < FEWEST
      ? `After ${FEWEST} answers this shows how many of the picks are right at each threshold.`
      : "The answers are being weighed.";
    byId("audit-summary").textContent = result
      ? sentence(result.now)
      : "How many of the picks are right? Sixty quick answers tell.";
    byId("audit-open").textContent = !this.#given ? "Check the picks" : open ? "Continue the check" : "See the check";
    if (result) this.#showResult(result);
  }

  #showResult(result) {
    drawCurve(byId("audit-curve"), result, this.#store.threshold);
    byId("audit-now").textContent = sentence(result.now);
    const choices = [["best", "best balance", result.best]];
    if (result.sure) choices.push(["sure", `${percent(result.sure_precision)} % right`, result.sure]);
    byId("audit-choices").replaceChildren(...choices.map(([, name, cut]) => this.#choice(name, cut)));
  }

  #choice(name, cut) {
    const row = Object.assign(document.createElement("div"), { className: "row" });
    const text = Object.assign(document.createElement("span"), {
      textContent: `${name}: above ${signed(cut.threshold, 2)}, ${cut.picks.toLocaleString("en")} picks, ${percent(cut.precision[0])}\u00a0% right`,
    });
    const used = Math.abs(cut.threshold - this.#store.threshold) < 1e-9;
    const button = Object.assign(document.createElement("button"), {
      textContent: used ? "In use" : "Use",
      disabled: used,
    });
    button.addEventListener("click", () => this.#store.keepThreshold(cut.threshold));
    row.append(text, button);
    return row;
  }
}

async function asked(path, place) {
  try {
    return await post(path);
  } catch (error) {
    byId(place).textContent = error.message;
    return null;
  }
}

function sentence({ picks, precision, recall }) {
  if (!picks) return "No pick is above the threshold.";
  const [middle, low, high] = precision.map(percent);
  const found = `They are ${percent(recall[0])}\u00a0% of the particles that were detected.`;
  return `${middle}\u00a0% of the picks are right (${low} to ${high}\u00a0%). ${found}`;
}

// Precision with its interval, and recall, against the threshold.
function drawCurve(svg, { curve, now }, threshold) {
  const [width, height, left, bottom] = [300, 170, 38, 22];
  const xs = curve.map((cut) => cut.threshold);
  const [low, high] = [Math.min(...xs), Math.max(...xs)];
  const x = (value) => left + ((value - low) / (high - low || 1)) * (width - left - 6);
  const y = (value) => 6 + (1 - value) * (height - bottom - 6);
  const line = (value) => curve.map((cut) => `${x(cut.threshold).toFixed(1)},${y(value(cut)).toFixed(1)}`);
  const band = [...line((cut) => cut.precision[2]), ...line((cut) => cut.precision[1]).reverse()];
  const parts = [];
  for (const value of [0, 0.5, 1]) {
    parts.push(part("line", { x1: left, x2: width - 6, y1: y(value), y2: y(value), class: "grid" }));
    parts.push(part("text", { x: left - 5, y: y(value) + 4, class: "end" }, `${percent(value)} %`));
  }
  parts.push(part("polygon", { points: band.join(" "), class: "band" }));
  parts.push(part("polyline", { points: line((cut) => cut.recall[0]).join(" "), class: "recall" }));
  parts.push(part("polyline", { points: line((cut) => cut.precision[0]).join(" "), class: "precision" }));
  const at = Math.min(Math.max(x(threshold), left), width - 6);
  parts.push(part("line", { x1: at, x2: at, y1: 6, y2: height - bottom, class: "now" }));
  for (const [value, anchor] of [[low, ""], [high, "end"]]) {
    parts.push(part("text", { x: x(value), y: height - 6, class: anchor }, signed(value, 1)));
  }
  parts.push(part("text", { x: (left + width) / 2, y: height - 6, class: "middle" }, "score above"));
  svg.replaceChildren(...parts);
  svg.setAttribute("aria-label", sentence(now));
}

function part(name, attributes, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.textContent = text;
  return node;
}
