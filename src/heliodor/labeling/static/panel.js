// The right side: counts, picks and their threshold, the look of the image, training.

import { post } from "./api.js";
import { colourOf } from "./marks.js";

const byId = (id) => document.getElementById(id);
const counted = (number) => number.toLocaleString("en");
const STORED = "heliodor-look";

export class LabelPanel {
  constructor(store) {
    const field = byId("diameter");
    field.addEventListener("change", () => {
      if (field.value && field.reportValidity()) store.keepDiameter(field.valueAsNumber);
    });
    const refresh = () => {
      const all = (name) => store.micrographs.reduce((sum, one) => sum + one[name], 0);
      for (const kind of ["particles", "negatives"]) {
        byId(`${kind}-here`).textContent = counted(store.current?.[kind] ?? 0);
        byId(`${kind}-all`).textContent = `of ${counted(all(kind))} in all`;
      }
    };
    store.addEventListener("list", refresh);
    store.addEventListener("open", () => {
      if (document.activeElement !== field) field.value = store.diameter ?? "";
      byId("diameter-unit").textContent = store.image && !store.pixelSize ? "px" : "Å";
    });
  }
}

export class PickPanel {
  #store;
  #marks;
  #slider = byId("threshold");

  constructor(store, marks, tools) {
    [this.#store, this.#marks] = [store, marks];
    this.#slider.addEventListener("input", () => store.previewThreshold(this.#value()));
    this.#slider.addEventListener("change", () => store.keepThreshold(this.#value()));
    byId("automatic").addEventListener("click", () => store.keepThreshold(store.summary.automatic));
    byId("export").addEventListener("click", () => this.#export());
    byId("accept-all").addEventListener("click", () => tools.judgeAll("particle"));
    byId("reject-all").addEventListener("click", () => tools.judgeAll("negative"));
    for (const name of ["picks", "threshold", "labels", "open"]) store.addEventListener(name, () => this.refresh());
    new ResizeObserver(() => this.#drawHistogram()).observe(byId("histogram"));
  }

  async #export() {
    byId("exported").textContent = "Saving\u2026"; // half a million picks take seconds
    try {
      const { path, picks } = await post("api/export");
      byId("exported").textContent = `${counted(picks)} picks: ${path}`;
    } catch (error) {
      byId("exported").textContent = error.message;
    }
  }

  // Move the threshold by steps of the slider.
  step(by) {
    if (!this.#store.summary) return;
    this.#slider.valueAsNumber += by;
    this.#store.keepThreshold(this.#value());
  }

  #value() {
    const { low, high } = this.#store.summary;
    return low + ((high - low) * this.#slider.valueAsNumber) / Number(this.#slider.max);
  }

  #place() {
    const { low, high } = this.#store.summary;
    return high > low ? (this.#store.threshold - low) / (high - low) : 0;
  }

  refresh() {
    const { summary, threshold } = this.#store;
    const some = Boolean(summary?.above[0]);
    byId("picks-body").hidden = !some;
    byId("no-picks").hidden = some;
    if (summary?.error) byId("no-picks").textContent = summary.error;
    if (!some) return;
    const steps = Number(this.#slider.max);
    const place = Math.min(Math.max(Math.round(this.#place() * steps), 0), steps);
    if (document.activeElement !== this.#slider) this.#slider.valueAsNumber = place;
    this.#slider.disabled = !summary.scored;
    const likely = summary.probabilities[place];
    byId("threshold-value").textContent = summary.scored
      ? `${threshold.toFixed(2)}${likely === null ? "" : ` (${Math.round(100 * likely)} %)`}`
      : "none have one";
    const automatic = threshold === summary.automatic;
    byId("automatic").hidden = automatic;
    byId("picks-here").textContent = counted(this.#marks.picks.length);
    byId("picks-all").textContent = `of ${counted(automatic ? summary.kept : summary.above[place])} in all`;
    this.#drawHistogram();
  }

  #drawHistogram() {
    const { summary } = this.#store;
    const canvas = byId("histogram");
    if (!summary || !canvas.clientWidth) return;
    const ratio = window.devicePixelRatio;
    [canvas.width, canvas.height] = [canvas.clientWidth * ratio, canvas.clientHeight * ratio];
    const context = canvas.getContext("2d");
    const { above } = summary;
    const bars = 50;
    const group = (above.length - 1) / bars;
    const heights = Array.from({ length: bars }, (_, k) => {
      return above[k * group] - (k === bars - 1 ? 0 : above[(k + 1) * group]);
    });
    const tallest = Math.max(...heights, 1);
    const width = canvas.width / bars;
    const place = this.#place();
    heights.forEach((height, k) => {
      const extent = height ? Math.max(Math.sqrt(height / tallest) * canvas.height, ratio) : 0;
      context.globalAlpha = (k + 1) / bars > place + 1e-6 ? 1 : 0.28;
      context.fillStyle = colourOf(summary.probabilities[Math.round((k + 0.5) * group)] ?? (k + 0.5) / bars);
      context.fillRect(k * width, canvas.height - extent, Math.max(width - ratio, 1), extent);
    });
  }
}

export class ImagePanel extends EventTarget {
  #store;

  constructor(store, marks, view) {
    super();
    this.#store = store;
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    for (const [id, standard] of [["lowpass", 20], ["low", 1], ["high", 99]]) {
      byId(id).value = stored[id] ?? standard;
      byId(id).addEventListener("input", () => this.#changed());
    }
    byId("inverted").checked = stored.inverted ?? false;
    byId("inverted").addEventListener("change", () => this.#changed());
    byId("hidden").addEventListener("change", () => {
      marks.hidden = byId("hidden").checked;
      view.redraw();
    });
    store.addEventListener("open", () => this.#say());
    this.#say();
  }

  // What the server is asked for with each tile.
  get query() {
    const inverted = byId("inverted").checked ? 1 : 0;
    return `lowpass=${byId("lowpass").value}&low=${byId("low").value}&high=${byId("high").value}&inverted=${inverted}`;
  }

  toggle(id) {
    byId(id).click();
  }

  #changed() {
    const values = Object.fromEntries(["lowpass", "low", "high"].map((id) => [id, byId(id).valueAsNumber]));
    localStorage.setItem(STORED, JSON.stringify({ ...values, inverted: byId("inverted").checked }));
    this.#say();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.dispatchEvent(new Event("look")), 60);
  }

  #say() {
    const unit = this.#store.image && !this.#store.pixelSize ? "px" : "Å";
    const lowpass = byId("lowpass").valueAsNumber;
    byId("lowpass-value").textContent = lowpass ? `${lowpass} ${unit}` : "off";
    for (const id of ["low", "high"]) byId(`${id}-value`).textContent = `${byId(id).value} %`;
  }
}

export class TrainPanel {
  constructor(store) {
    byId("train").addEventListener("click", store.train);
    byId("cancel").addEventListener("click", store.cancelTraining);
    for (const name of ["training", "labels"]) store.addEventListener(name, () => this.refresh(store));
  }

  refresh(store) {
    const { training } = store;
    const running = training.state === "running";
    const labels = store.micrographs.reduce((sum, one) => sum + one.particles, 0);
    byId("train").hidden = running;
    byId("running").hidden = !running;
    byId("train").disabled = !store.diameter;
    byId("train").textContent = labels ? "Train and pick" : "Pick without labels";
    byId("train-hint").textContent = hint(labels, store);
    byId("train-hint").hidden = running || !byId("train-hint").textContent;
    const bar = byId("train-bar");
    const counting = training.done < training.total; // between two stages nothing is counted
    if (counting) [bar.max, bar.value] = [training.total, training.done];
    else bar.removeAttribute("value");
    const count = counting ? `, ${training.done} of ${training.total}` : "";
    byId("train-what").textContent = (training.what ?? "") + count;
    byId("train-time").textContent = running ? `${Math.round(training.seconds)} s` : "";
    const failed = store.refused || (training.state === "failed" && training.error);
    byId("train-note").textContent = failed || said(training);
    byId("train-note").className = failed ? "bad" : "faint";
  }
}

function hint(labels, store) {
  if (!store.diameter) return "Give the particle's diameter first.";
  if (!labels) return "Label some particles: ten begin to do, a hundred on four micrographs do well.";
  return "";
}

function said(training) {
  if (training.state === "cancelled") return "Cancelled.";
  if (training.state === "done") return `Trained and picked in ${Math.round(training.seconds)} s.`;
  return training.notes?.at(-1) ?? "";
}
