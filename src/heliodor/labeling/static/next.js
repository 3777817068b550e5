// What to label next: picks worth an answer, one after the other, and micrographs worth a look, each with its reason.

import { get } from "./api.js";

const byId = (id) => document.getElementById(id);

export class Next {
  #store;
  #marks;
  #view;
  #tools;
  #picks = [];
  #place = -1; // of the pick that is asked about
  #moving = false; // to the micrograph of the next pick

  constructor(store, marks, view, tools) {
    [this.#store, this.#marks, this.#view, this.#tools] = [store, marks, view, tools];
    byId("next-pick").addEventListener("click", () => this.go());
    byId("ask-yes").addEventListener("click", () => this.answer("particle"));
    byId("ask-no").addEventListener("click", () => this.answer("negative"));
    byId("ask-skip").addEventListener("click", () => this.go());
    byId("ask-end").addEventListener("click", () => this.end());
    store.addEventListener("picks", () => this.#fetch());
    store.addEventListener("open", () => this.#moving || this.end());
  }

  get active() {
    return this.#place >= 0;
  }

  // Ask for proposals: they depend on the picks, the labels and the threshold.
  async #fetch() {
    const { summary } = this.#store;
    this.end();
    byId("next-section").hidden = !(summary?.scored && this.#store.diameter);
    if (byId("next-section").hidden) return;
    const { picks, micrographs } = await get("api/proposals").catch(() => ({ picks: [], micrographs: [] }));
    this.#picks = picks;
    const proposed = new Map(micrographs.map((one) => [one.index, one.reason]));
    this.#store.micrographs.forEach((one, index) => {
      one.proposed = proposed.get(index);
    });
    byId("next-micrographs").replaceChildren(...micrographs.map((one) => this.#row(one)));
    byId("next-pick").disabled = !picks.length;
    this.#store.dispatchEvent(new Event("list"));
  }

  #row({ index, reason }) {
    const button = Object.assign(document.createElement("button"), { className: "proposal" });
    const name = Object.assign(document.createElement("b"), { textContent: this.#store.micrographs[index].name });
    button.append(name, Object.assign(document.createElement("span"), { className: "faint", textContent: reason }));
    button.addEventListener("click", () => this.#store.open(index));
    return button;
  }

  // Go to the next pick; after the last, ask for new ones, which know of the answers.
  async go() {
    if (this.#moving) return;
    if (this.#place + 1 >= this.#picks.length) await this.#fetch();
    if (!this.#picks.length) return;
    const place = this.#place + 1;
    const { index, x, y, reason } = this.#picks[place];
    this.#moving = true;
    if (index !== this.#store.index) await this.#store.open(index);
    this.#moving = false;
    this.#place = place;
    this.#marks.chosen = this.#store.picks.find((pick) => Math.hypot(pick.x - x, pick.y - y) < 0.01) ?? null;
    this.#view.focus(x, y, this.#store.radius);
    byId("ask").hidden = false;
    byId("ask-reason").textContent = reason;
    byId("ask-place").textContent = `${place + 1} of ${this.#picks.length}`;
  }

  answer(kind) {
    this.#tools.label(this.#marks.chosen, kind);
    return this.go();
  }

  end() {
    this.#place = -1;
    byId("ask").hidden = true;
  }
}
