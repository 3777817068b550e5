// Puts the page together: parts, keys, and what stands around the micrograph.

import { get } from "./api.js";
import { Audit } from "./audit.js";
import { List } from "./list.js";
import { Marks } from "./marks.js";
import { Next } from "./next.js";
import { ImagePanel, LabelPanel, PickPanel, TrainPanel } from "./panel.js";
import { Store } from "./store.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const byId = (id) => document.getElementById(id);
export const store = new Store();
const view = new View(byId("stage"), byId("picture"), byId("marks"));
const marks = new Marks(store);
const tools = new Tools(store, view, marks, byId("marks"));
const list = new List(store, () => byId("stage").getAttribute("aria-busy") === "true");
const image = new ImagePanel(store, marks, view);
const picks = new PickPanel(store, marks, tools);
new LabelPanel(store);
new TrainPanel(store);
new Audit(store, image);
const next = new Next(store, marks, view, tools);

function show() {
  byId("stage").setAttribute("aria-busy", "true");
  const { width, height, version } = store.image;
  view.show({ index: store.index, width, height, version }, image.query);
}

function opened() {
  const { index, micrographs, problem } = store;
  byId("name").textContent = store.current.name;
  byId("place").textContent = `${index + 1} of ${micrographs.length}`;
  document.title = `${store.current.name} - heliodor label`;
  byId("problem").hidden = !problem;
  byId("problem").textContent = problem;
  marks.chosen = marks.cross = null;
  tools.pointer = null;
  if (store.image) show();
  else {
    view.clear();
    byId("stage").setAttribute("aria-busy", "false");
  }
  relabelled();
}

function relabelled() {
  byId("done").checked = store.current?.done ?? false;
  byId("done").disabled = !store.image;
  byId("undo").disabled = !store.history.canUndo;
  byId("redo").disabled = !store.history.canRedo;
  view.redraw();
}

// Files are written within milliseconds: say so only where it takes longer.
function saving() {
  const trouble = store.connection;
  byId("saved").textContent = trouble ? "not saved" : store.unsaved ? "" : "saved";
  byId("saved").className = trouble ? "bad" : "faint";
  byId("trouble").hidden = !trouble;
  byId("trouble").textContent = trouble;
}

// Once the micrograph is there, have the server read the next.
let read = -1;
function ahead() {
  const next = list.neighbour(1);
  if (next < 0 || next === read) return;
  read = next;
  get(`api/ahead/${next}`).catch(() => {}); // why it cannot be read is said when it is opened
}

// A round length that takes 80 to 200 pixels.
function scaleBar() {
  const unit = store.pixelSize ?? 1;
  const most = (180 / view.scale) * unit;
  const power = 10 ** Math.floor(Math.log10(most));
  const length = [5, 2, 1].find((step) => step * power <= most) * power;
  byId("scale").querySelector("i").style.width = `${(length / unit) * view.scale}px`;
  const inNanometres = store.pixelSize && length >= 1000;
  byId("scale").querySelector("span").textContent = inNanometres
    ? `${length / 10} nm`
    : `${length} ${store.pixelSize ? "Å" : "px"}`;
}

function position() {
  const place = tools.pointer;
  if (!place) {
    byId("position").textContent = "";
    return;
  }
  const pixels = `${place.x.toFixed(0)}, ${place.y.toFixed(0)} px`;
  const size = store.pixelSize;
  const lengths = size ? `   ${(place.x * size).toFixed(0)}, ${(place.y * size).toFixed(0)} Å` : "";
  const pick = marks.hidden ? null : marks.pickGrid?.nearest(place.x, place.y);
  byId("position").textContent = pixels + lengths + (pick && store.summary.scored ? `   ${described(pick)}` : "");
}

function described({ score, probability }) {
  return `score ${score.toFixed(2)}${probability === null ? "" : `, ${Math.round(100 * probability)} % particle`}`;
}

function chosen() {
  if (!marks.chosen) return;
  tools.pointer = { x: marks.chosen.x, y: marks.chosen.y };
  position();
}

function toggleDone() {
  store.edit([{ do: "done", value: !store.current.done }]);
}

function toggleTheme() {
  const { dataset } = document.documentElement;
  const dark = dataset.theme ? dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("heliodor-theme", dataset.theme);
}

const KEYS = {
  n: () => store.open(list.neighbour(1)),
  p: () => store.open(list.neighbour(-1)),
  PageDown: () => store.open(list.neighbour(1)),
  PageUp: () => store.open(list.neighbour(-1)),
  d: toggleDone,
  1: () => tools.choose("particle"),
  2: () => tools.choose("negative"),
  3: () => tools.choose("erase"),
  z: store.undo,
  Z: store.redo,
  y: store.redo,
  "+": () => view.zoom(1.4),
  "=": () => view.zoom(1.4),
  "-": () => view.zoom(1 / 1.4),
  0: () => view.fit(),
  h: () => image.toggle("hidden"),
  i: () => image.toggle("inverted"),
  j: () => tools.step(1),
  k: () => tools.step(-1),
  a: () => (next.active ? next.answer("particle") : tools.judge("particle")),
  x: () => (next.active ? next.answer("negative") : tools.judge("negative")),
  g: () => next.go(),
  Escape: () => next.end(),
  "[": () => picks.step(-2),
  "]": () => picks.step(2),
  Delete: () => tools.removeHere(),
  Backspace: () => tools.removeHere(),
  "?": () => byId("help").showModal(),
};

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function arrow(event) {
  const [dx, dy] = ARROWS[event.key];
  if (event.shiftKey) view.pan(-80 * dx, -80 * dy);
  else tools.moveCross(12 * dx, 12 * dy);
}

function key(event) {
  const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select");
  if (typing || document.querySelector("dialog[open]") || event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    if (!["z", "Z", "y"].includes(event.key)) return;
  } else if (event.target === byId("marks")) {
    if (event.key in ARROWS) {
      event.preventDefault();
      return arrow(event);
    }
    if (event.key === "Enter") return tools.clickCross();
    if (event.key === " ") event.preventDefault();
  }
  const action = KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

const theme = localStorage.getItem("heliodor-theme");
if (theme) document.documentElement.dataset.theme = theme;

store.addEventListener("open", opened);
store.addEventListener("labels", relabelled);
for (const name of ["picks", "threshold"]) store.addEventListener(name, relabelled);
store.addEventListener("saving", saving);
image.addEventListener("look", () => store.image && show());
view.addEventListener("draw", () => {
  if (store.index < 0) return; // nothing has been opened yet
  if (store.image) marks.draw(view);
  byId("stage").setAttribute("aria-busy", String(view.tiles.busy));
  if (!view.tiles.busy) ahead();
});
view.addEventListener("problem", (event) => store.fail(event.detail));
view.addEventListener("move", scaleBar);
store.addEventListener("open", scaleBar);
tools.addEventListener("point", position);
tools.addEventListener("choose", chosen);
tools.addEventListener("tool", () => {
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tools.tool));
  }
  byId("marks").dataset.tool = tools.tool;
});
for (const button of document.querySelectorAll("[data-tool]")) {
  button.addEventListener("click", () => tools.choose(button.dataset.tool));
}
for (const [id, action] of Object.entries({
  previous: KEYS.p,
  next: KEYS.n,
  undo: store.undo,
  redo: store.redo,
  theme: toggleTheme,
  "help-open": KEYS["?"],
  "zoom-in": KEYS["+"],
  "zoom-out": KEYS["-"],
  "zoom-fit": KEYS[0],
})) {
  byId(id).addEventListener("click", action);
}
byId("done").addEventListener("change", toggleDone);
document.addEventListener("keydown", key);
window.addEventListener("beforeunload", (event) => store.unsaved && event.preventDefault());

tools.choose("particle");
try {
  await store.start();
  byId("help-files").textContent = `${store.files.labels}, ${store.files.negatives}, ${store.files.done}`;
  byId("version").textContent = `heliodor ${store.version}`;
  document.body.dataset.ready = "yes";
} catch (error) {
  byId("problem").hidden = false;
  byId("problem").textContent = error.message;
}
