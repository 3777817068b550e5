// What pointer and keys do on the micrograph: add, move, remove, convert, erase, accept and reject.

import { newId } from "./edits.js";

const STILL = 4; // screen pixels: less is a click, more is a drag
const NEAR = 9; // screen pixels around the centre of a label that are at least its own

export class Tools extends EventTarget {
  tool = "particle";
  pointer = null; // image position
  #store;
  #view;
  #marks;
  #press = null; // {sx, sy, x, y, button, id, what}
  #space = false;

  constructor(store, view, marks, canvas) {
    super();
    [this.#store, this.#view, this.#marks] = [store, view, marks];
    store.addEventListener("open", () => this.#drop()); // what was begun on another micrograph
    canvas.addEventListener("pointerdown", (event) => this.#down(event, canvas));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", () => this.#drop());
    canvas.addEventListener("pointerleave", () => this.#leave());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    document.addEventListener("keydown", (event) => (this.#space ||= event.key === " "));
    document.addEventListener("keyup", (event) => (this.#space &&= event.key !== " "));
  }

  choose(tool) {
    this.tool = tool;
    this.#marks.brush = null;
    this.#view.redraw();
    this.dispatchEvent(new Event("tool"));
  }

  // The id of the label whose inner half a place is in.
  labelAt(x, y) {
    const reach = Math.max(this.#store.radius / 2, NEAR / this.#view.scale);
    let best = null;
    let least = reach;
    for (const [id, label] of this.#store.labels) {
      const distance = Math.hypot(label.x - x, label.y - y);
      if (distance <= least) [best, least] = [id, distance];
    }
    return best;
  }

  // Click: on a label of that kind remove it, on another make it one; on a pick label it; elsewhere add a label.
  click(x, y, kind) {
    if (!this.#view.contains(x, y)) return;
    const id = this.labelAt(x, y);
    if (id) {
      const same = this.#store.labels.get(id).kind === kind;
      this.#store.edit([same ? { do: "delete", id } : { do: "change", id, kind }]);
      return;
    }
    const pick = this.#marks.hidden ? null : this.#marks.pickGrid?.nearest(x, y);
    this.#store.edit([add(pick ?? { x, y }, kind)]);
  }

  remove(x, y) {
    const id = this.labelAt(x, y);
    if (id) this.#store.edit([{ do: "delete", id }]);
  }

  // Label the pick that is chosen, and go to the next.
  judge(kind) {
    const pick = this.#marks.chosen;
    if (!pick) return;
    const place = this.#marks.picks.indexOf(pick);
    this.label(pick, kind);
    this.#select(Math.min(place, this.#marks.picks.length - 1));
  }

  label(place, kind) {
    if (place) this.#store.edit([add(place, kind)]);
  }

  judgeAll(kind) {
    const picks = this.#marks.picks.filter(({ x, y }) => this.#view.contains(x, y));
    this.#store.edit(picks.map((pick) => add(pick, kind)));
  }

  step(by) {
    const { picks, chosen } = this.#marks;
    const place = chosen ? picks.indexOf(chosen) + by : by > 0 ? 0 : picks.length - 1;
    this.#select(Math.min(Math.max(place, 0), picks.length - 1));
  }

  #select(place) {
    this.#marks.chosen = this.#marks.picks[place] ?? null;
    if (this.#marks.chosen) this.#view.reveal(this.#marks.chosen.x, this.#marks.chosen.y);
    this.#view.redraw();
    this.dispatchEvent(new Event("choose"));
  }

  moveCross(dx, dy) {
    const cross = this.#marks.cross ?? { x: this.#view.x, y: this.#view.y };
    const next = { x: cross.x + dx / this.#view.scale, y: cross.y + dy / this.#view.scale };
    if (!this.#view.contains(next.x, next.y)) return;
    this.#marks.cross = next;
    this.#point(next.x, next.y);
    this.#view.reveal(next.x, next.y);
    this.#view.redraw();
  }

  clickCross() {
    const { cross } = this.#marks;
    if (!cross) return;
    if (this.tool === "erase") this.remove(cross.x, cross.y);
    else this.click(cross.x, cross.y, this.tool);
  }

  removeHere() {
    const place = this.#marks.cross ?? this.pointer;
    if (place) this.remove(place.x, place.y);
  }

  #place(event) {
    const [x, y] = this.#view.toImage(event.offsetX, event.offsetY);
    return { sx: event.offsetX, sy: event.offsetY, x, y };
  }

  #point(x, y) {
    this.pointer = this.#view.contains(x, y) ? { x, y } : null;
    this.dispatchEvent(new Event("point"));
  }

  #down(event, canvas) {
    if (this.#press || event.button > 2) return;
    canvas.setPointerCapture(event.pointerId);
    const place = this.#place(event);
    const pans = event.button === 1 || this.#space;
    const id = pans || event.button === 2 || this.tool === "erase" ? null : this.labelAt(place.x, place.y);
    const erases = !pans && event.button === 0 && this.tool === "erase";
    this.#press = { ...place, id, pans, button: event.button, what: erases ? "erase" : "still" };
    this.#marks.cross = null;
    if (erases) this.#erase(place);
  }

  #move(event) {
    const place = this.#place(event);
    const press = this.#press;
    this.#point(place.x, place.y);
    this.#marks.brush = this.tool === "erase" ? { x: place.x, y: place.y, radius: this.#store.radius } : null;
    if (this.tool === "erase") this.#view.redraw();
    if (!press) return;
    if (press.what === "still" && Math.hypot(place.sx - press.sx, place.sy - press.sy) >= STILL) {
      press.what = press.id ? "move" : "pan";
    }
    if (press.what === "pan") {
      this.#view.pan(place.sx - (press.lastX ?? press.sx), place.sy - (press.lastY ?? press.sy));
      [press.lastX, press.lastY] = [place.sx, place.sy];
    } else if (press.what === "erase") {
      this.#erase(place);
    } else if (press.what === "move") {
      const label = this.#store.labels.get(press.id);
      if (!label) return this.#drop(); // another tab has deleted it
      const [x, y] = [label.x + place.x - press.x, label.y + place.y - press.y];
      if (this.#view.contains(x, y)) this.#marks.moved = { id: press.id, x, y };
      this.#view.redraw();
    }
  }

  #up(event) {
    const press = this.#press;
    if (!press) return;
    const { moved, erased } = this.#marks;
    this.#drop();
    if (press.what === "still" && !press.pans) {
      const place = this.#place(event);
      this.click(place.x, place.y, press.button === 2 ? "negative" : this.tool);
    } else if (press.what === "move" && moved) {
      this.#store.edit([{ do: "change", id: moved.id, x: rounded(moved.x), y: rounded(moved.y) }]);
    } else if (press.what === "erase") {
      this.#store.edit([...erased].map((id) => ({ do: "delete", id })));
    }
  }

  #drop() {
    this.#press = null;
    this.#marks.moved = null;
    this.#marks.erased = new Set();
    this.#view.redraw();
  }

  #leave() {
    this.#marks.brush = null;
    this.pointer = null;
    this.dispatchEvent(new Event("point"));
    this.#view.redraw();
  }

  #erase(place) {
    for (const [id, label] of this.#store.labels) {
      if (Math.hypot(label.x - place.x, label.y - place.y) <= this.#store.radius) this.#marks.erased.add(id);
    }
  }

  #wheel(event) {
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : 1);
    this.#view.zoom(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.0015)), event.offsetX, event.offsetY);
  }
}

const rounded = (value) => Math.round(value * 1000) / 1000;

function add(place, kind) {
  return { do: "add", id: newId(), x: rounded(place.x), y: rounded(place.y), kind };
}
