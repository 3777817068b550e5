// What the page knows: micrographs, the labels of the one that is shown, edits on their way to the server, undo.
//
// The server's labels are the truth; edits that it has not confirmed are made again on top of them. So another
// tab's changes come in at any time, and nothing that was clicked is lost while the connection is.

import { get, post } from "./api.js";
import { applied, Choices, doneAfter, History, Outbox } from "./edits.js";

const asPick = ([x, y, score, probability, kept]) => ({ x, y, score, probability, kept });

export class Store extends EventTarget {
  micrographs = []; // {name, particles, negatives, done, picks, error, flag}
  index = -1;
  image = null; // {width, height, pixel_size, version}
  labels = new Map(); // id -> {x, y, kind}, with the edits that are on their way
  picks = []; // {x, y, score, probability, kept}, best first
  summary = null; // of all picks
  threshold = 0;
  diameter = null; // angstrom
  training = { state: "idle" };
  problem = ""; // why the micrograph cannot be shown
  connection = ""; // what is wrong with it
  refused = ""; // why training could not be started or stopped
  history = new History();
  #confirmed = new Map();
  #done = false; // confirmed, as well
  #lost = false; // it cannot be shown for want of a connection
  #known = 0; // revision of the micrograph's labels
  #revision = 0;
  #picksVersion = 0;
  #outbox = new Outbox({
    base: (index) => (index === this.index ? this.#known : -1),
    confirmed: (index, answer, edits) => index === this.index && this.#confirm(answer, edits),
    told: (problem) => this.#told(problem),
    dropped: () => this.#relabel(),
  });
  #choices = new Choices((problem) => this.#told(problem));
  #opening = 0;
  going = -1; // the micrograph that was asked for last: n, pressed again before it is there, goes on from it

  #tell(...names) {
    for (const name of names) this.dispatchEvent(new Event(name));
  }

  #told(problem) {
    this.connection = problem;
    this.#tell("saving");
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
    const named = this.micrographs.findIndex((one) => encodeURIComponent(one.name) === location.hash.slice(1));
    if (named >= 0) return named;
    return Math.max(0, this.micrographs.findIndex((one) => !one.done));
  }

  async open(index) {
    if (index < 0 || index >= this.micrographs.length) return;
    const turn = ++this.#opening;
    this.going = index;
    let facts = null;
    let problem = "";
    let lost = false;
    try {
      facts = await get(`api/micrograph/${index}`);
    } catch (error) {
      problem = error.message;
      lost = error.status === 0;
    }
    if (turn !== this.#opening) return; // another one was asked for meanwhile
    this.index = index;
    this.image = facts;
    this.problem = problem;
    this.#lost = lost;
    this.picks = facts ? facts.picks.map(asPick) : [];
    this.#known = facts ? facts.revision : -1;
    this.#confirmed = new Map((facts ? facts.labels : []).map(([id, x, y, kind]) => [id, { x, y, kind }]));
    history.replaceState(null, "", `#${encodeURIComponent(this.micrographs[index].name)}`);
    this.#done = facts ? facts.done : this.current.done;
    this.#relabel();
    this.#tell("open");
  }

  // The micrograph that is shown has a header, and no pixels that can be read.
  fail(problem) {
    if (this.problem) return; // each of its tiles says so
    [this.image, this.problem, this.picks] = [null, problem, []];
    this.#tell("labels", "open");
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
    this.labels = applied(this.#confirmed, this.#outbox.of(this.index));
    const kinds = [...this.labels.values()].map((label) => label.kind);
    if (this.image) {
      this.current.particles = kinds.filter((kind) => kind === "particle").length;
      this.current.negatives = kinds.length - this.current.particles;
      this.current.done = doneAfter(this.#done, this.#outbox.of(this.index));
    }
    this.#tell("labels", "list");
  }

  // Make edits of the micrograph that is shown, in one step of undo.
  edit(edits) {
    if (!this.image) return;
    const known = edits.filter(({ do: what, id }) => what === "add" || what === "done" || this.labels.has(id));
    if (!known.length) return; // another tab has deleted the label
    this.history.add(this.index, known, this.labels);
    this.#send(this.index, known);
  }

  undo = () => this.#step(this.history.undo());
  redo = () => this.#step(this.history.redo());

  async #step(step) {
    if (!step) return;
    if (step.index !== this.index) await this.open(step.index);
    this.#send(step.index, step.edits);
  }

  #send(index, edits) {
    this.#outbox.add(index, edits);
    this.#relabel();
  }

  get unsaved() {
    return this.#outbox.waiting.length > 0 || this.#choices.waiting;
  }

  #confirm(answer, edits) {
    if (answer.labels) return this.#accept(answer);
    if (answer.revision > this.#known) { // otherwise what came meanwhile holds them, and what others did later
      this.#confirmed = applied(this.#confirmed, edits);
      this.#done = doneAfter(this.#done, edits);
      this.#known = answer.revision;
    }
    this.#relabel();
  }

  #accept(state) {
    if (state.revision > this.#known) {
      this.#known = state.revision;
      this.#confirmed = new Map(state.labels.map(([id, x, y, kind]) => [id, { x, y, kind }]));
      this.#done = state.done;
    }
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
      if (this.connection && !this.unsaved) this.#told("");
      if (this.#lost && this.going === this.index) {
        this.#lost = false;
        this.open(this.index);
      }
    } catch (error) {
      this.#told(error.message);
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
      this.refreshPicks().catch(() => {
        this.#picksVersion = 0; // asked for again when the connection is back
      });
    }
    this.#tell("list", "training");
  }

  async refreshPicks() {
    this.summary = await get("api/picks");
    this.threshold = this.summary.threshold;
    this.micrographs.forEach((one, index) => {
      one.flag = this.summary.flags[index];
    });
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

  // Whether a pick is one at this threshold: at that of the run those that the run kept.
  isPick({ score, kept }) {
    return this.threshold === this.summary.automatic ? kept : score > this.threshold;
  }

  // While the slider moves only this page knows; when it rests the server keeps it.
  previewThreshold(value) {
    this.threshold = value;
    this.#tell("threshold");
  }

  async keepThreshold(value) {
    this.previewThreshold(value);
    await Promise.all([this.#choices.keep({ threshold: value }), this.#count()]);
  }

  keepDiameter(value) {
    this.diameter = value;
    this.#tell("labels");
    return this.#choices.keep({ diameter: value });
  }

  train = () => this.#steer("api/train");
  cancelTraining = () => this.#steer("api/cancel");

  async #steer(path) {
    this.refused = "";
    try {
      this.training = await post(path);
    } catch (error) {
      this.refused = error.message;
    }
    this.#tell("training");
  }
}
