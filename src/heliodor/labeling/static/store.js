// What the page knows: micrographs, the labels of the one that is shown, edits on their way to the server, undo.
//
// The server's labels are the truth; edits that it has not confirmed are made again on top of them. So another
// tab's changes come in at any time, and nothing that was clicked is lost while the connection is.

import { get, post } from "./api.js";

export function applied(labels, edits) {
  const result = new Map(labels);
  for (const edit of edits) {
    const known = result.get(edit.id);
    if (edit.do === "add" && !known) result.set(edit.id, { x: edit.x, y: edit.y, kind: edit.kind });
    else if (edit.do === "delete") result.delete(edit.id);
    else if (edit.do === "change" && known) {
      result.set(edit.id, { x: edit.x ?? known.x, y: edit.y ?? known.y, kind: edit.kind ?? known.kind });
    }
  }
  return result;
}

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const asPick = ([x, y, score, probability]) => ({ x, y, score, probability });

export class Store extends EventTarget {
  micrographs = []; // {name, particles, negatives, done, picks, error}
  index = -1;
  image = null; // {width, height, pixel_size, version}
  labels = new Map(); // id -> {x, y, kind}, with the edits that are on their way
  picks = []; // {x, y, score, probability}, best first
  summary = null; // of all picks
  threshold = 0;
  diameter = null; // angstrom
  training = { state: "idle" };
  problem = ""; // why the micrograph cannot be shown
  connection = "";
  #confirmed = new Map();
  #known = 0; // revision of the micrograph's labels
  #revision = 0;
  #picksVersion = 0;
  #queue = []; // {index, edits}: not confirmed
  #sending = false;
  #undo = [];
  #redo = [];
  #opening = 0;

  #tell(...names) {
    for (const name of names) this.dispatchEvent(new Event(name));
  }

  async start() {
    const session = await get("api/session");
    this.micrographs = session.names.map((name) => ({ name, particles: 0, negatives: 0, done: false, picks: 0 }));
    this.files = session.files;
    this.version = session.version;
    this.diameter = session.diameter;
    this.#take(session);
    await this.open(this.#first());
    this.#poll();
  }

  #first() {
    const named = this.micrographs.findIndex((one) => one.name === decodeURIComponent(location.hash.slice(1)));
    if (named >= 0) return named;
    return Math.max(0, this.micrographs.findIndex((one) => !one.done));
  }

  async open(index) {
    if (index < 0 || index >= this.micrographs.length) return;
    const turn = ++this.#opening;
    let facts = null;
    let problem = "";
    try {
      facts = await get(`api/micrograph/${index}`);
    } catch (error) {
      problem = error.message;
    }
    if (turn !== this.#opening) return; // another one was asked for meanwhile
    this.index = index;
    this.image = facts;
    this.problem = problem;
    this.picks = facts ? facts.picks.map(asPick) : [];
    this.#known = facts ? facts.revision : -1;
    this.#confirmed = new Map((facts ? facts.labels : []).map(([id, x, y, kind]) => [id, { x, y, kind }]));
    history.replaceState(null, "", `#${encodeURIComponent(this.micrographs[index].name)}`);
    if (facts) this.micrographs[index].done = facts.done;
    this.#relabel();
    this.#tell("open");
  }

  get current() {
    return this.micrographs[this.index];
  }

  get pixelSize() {
    return this.image?.pixel_size ?? null;
  }

  // The radius of a particle in pixels; where nothing is known of it, a fortieth of the micrograph.
  get radius() {
    if (this.diameter) return this.diameter / (this.pixelSize ?? 1) / 2;
    return this.image ? Math.max(this.image.width, this.image.height) / 40 : 10;
  }

  #relabel() {
    const waiting = this.#queue.filter((one) => one.index === this.index).flatMap((one) => one.edits);
    this.labels = applied(this.#confirmed, waiting);
    const kinds = [...this.labels.values()].map((label) => label.kind);
    if (this.image) {
      this.current.particles = kinds.filter((kind) => kind === "particle").length;
      this.current.negatives = kinds.length - this.current.particles;
    }
    this.#tell("labels", "list");
  }

  // Make edits of the micrograph that is shown, in one step of undo.
  edit(edits) {
    if (!edits.length || !this.image) return;
    this.#undo.push({ index: this.index, edits, back: edits.map((edit) => this.#inverse(edit)).reverse() });
    if (this.#undo.length > 500) this.#undo.shift();
    this.#redo = [];
    this.#send(edits);
  }

  #inverse(edit) {
    const old = this.labels.get(edit.id);
    if (edit.do === "add") return { do: "delete", id: edit.id };
    if (edit.do === "delete") return { do: "add", id: edit.id, ...old };
    if (edit.do === "change") return { do: "change", id: edit.id, ...old };
    return { do: "done", value: !edit.value };
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  get canRedo() {
    return this.#redo.length > 0;
  }

  undo = () => this.#step(this.#undo, this.#redo, "back");
  redo = () => this.#step(this.#redo, this.#undo, "edits");

  async #step(from, to, which) {
    const step = from.pop();
    if (!step) return;
    if (step.index !== this.index) await this.open(step.index);
    to.push(step);
    this.#send(step[which]);
  }

  #send(edits) {
    for (const edit of edits) if (edit.do === "done") this.current.done = edit.value;
    this.#queue.push({ index: this.index, edits });
    this.#relabel();
    this.#flush();
  }

  get unsaved() {
    return this.#queue.length > 0;
  }

  async #flush() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.#queue.length) {
      this.#tell("saving");
      const index = this.#queue[0].index;
      const last = this.#queue.findIndex((one) => one.index !== index);
      const batch = this.#queue.slice(0, last < 0 ? undefined : last);
      const edits = batch.flatMap((one) => one.edits);
      try {
        const base = index === this.index ? this.#known : -1;
        const answer = await post(`api/edit/${index}`, { base, edits });
        this.#queue.splice(0, batch.length);
        if (index === this.index) this.#confirm(answer, edits);
        this.connection = "";
      } catch (error) {
        this.connection = error.message;
        if (error.status === 422) {
          this.#queue.splice(0, batch.length); // it never will be taken
          this.#relabel();
        } else {
          this.#tell("saving");
          await new Promise((resolve) => setTimeout(resolve, 1500));
        }
      }
    }
    this.#sending = false;
    this.#tell("saving");
  }

  #confirm(answer, edits) {
    if (answer.labels) this.#accept(answer);
    else {
      this.#confirmed = applied(this.#confirmed, edits);
      this.#known = Math.max(this.#known, answer.revision);
      this.#relabel();
    }
  }

  #accept(state) {
    if (state.revision <= this.#known) return;
    this.#known = state.revision;
    this.#confirmed = new Map(state.labels.map(([id, x, y, kind]) => [id, { x, y, kind }]));
    this.current.done = state.done;
    this.#relabel();
  }

  // Ask what other tabs, training and reading have changed.
  async #poll() {
    try {
      const shown = this.index;
      const query = `since=${this.#revision}&micrograph=${shown}&known=${this.#known}`;
      const changes = await get(`api/changes?${query}`);
      if (changes.micrograph && changes.micrograph.index === this.index) this.#accept(changes.micrograph);
      this.#take(changes);
      if (this.connection && !this.unsaved) {
        this.connection = "";
        this.#tell("saving");
      }
    } catch (error) {
      this.connection = error.status === 403 ? error.message : "No connection to heliodor label";
      this.#tell("saving");
    }
    const busy = this.training.state === "running";
    setTimeout(() => this.#poll(), document.hidden ? 4000 : busy ? 400 : 1000);
  }

  #take(changes) {
    this.#revision = changes.revision;
    for (const [index, particles, negatives, done] of changes.changed) {
      if (index === this.index) continue; // known better here
      Object.assign(this.micrographs[index], { particles, negatives, done });
    }
    for (const one of this.micrographs) one.error = undefined;
    for (const [index, error] of Object.entries(changes.errors)) this.micrographs[index].error = error;
    this.training = changes.training;
    if (changes.picks_version !== this.#picksVersion) {
      this.#picksVersion = changes.picks_version;
      this.refreshPicks();
    }
    this.#tell("list", "training");
  }

  async refreshPicks() {
    this.summary = await get("api/picks");
    this.threshold = this.summary.threshold;
    if (this.index >= 0) {
      const shown = this.index;
      const facts = await get(`api/micrograph/${shown}`).catch(() => null);
      if (facts && shown === this.index) this.picks = facts.picks.map(asPick);
    }
    await this.#count();
    this.#tell("picks", "list");
  }

  async #count() {
    const counts = await get(`api/counts?threshold=${this.threshold}`);
    this.micrographs.forEach((one, index) => {
      one.picks = counts[index] ?? 0;
    });
    this.#tell("list");
  }

  // While the slider moves only this page knows; when it rests the server keeps it.
  previewThreshold(value) {
    this.threshold = value;
    this.#tell("threshold");
  }

  async keepThreshold(value) {
    this.previewThreshold(value);
    await post("api/choices", { threshold: value });
    await this.#count();
  }

  async keepDiameter(value) {
    await post("api/choices", { diameter: value });
    this.diameter = value;
    this.#tell("labels");
  }

  async train() {
    this.training = await post("api/train");
    this.#tell("training");
  }

  async cancelTraining() {
    this.training = await post("api/cancel");
    this.#tell("training");
  }
}
