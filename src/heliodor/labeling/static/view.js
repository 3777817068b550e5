// Where the micrograph lies on the screen: zoom, shift, and the two canvases (the picture, and the marks on it).
//
// Positions are pixels of the micrograph as in the files: the centre of its first pixel is (0, 0), so that pixel
// spans -0.5 to 0.5, and its corner on the screen is at (-0.5, -0.5).

import { Tiles } from "./tiles.js";

const LARGEST = 16; // screen pixels per image pixel

export class View extends EventTarget {
  scale = 1; // screen (CSS) pixels per image pixel
  x = 0; // image position in the middle of the screen
  y = 0;
  width = 1;
  height = 1;
  #size = { width: 1, height: 1 };
  #fitted = true;
  #asked = false;

  constructor(stage, picture, marks) {
    super();
    this.picture = picture.getContext("2d");
    this.marks = marks.getContext("2d");
    this.tiles = new Tiles(
      () => this.redraw(),
      (problem) => this.dispatchEvent(new CustomEvent("problem", { detail: problem })),
    );
    new ResizeObserver(() => this.#resize(stage)).observe(stage);
    this.#resize(stage);
  }

  #resize(stage) {
    const ratio = window.devicePixelRatio;
    [this.width, this.height] = [Math.max(1, stage.clientWidth), Math.max(1, stage.clientHeight)];
    for (const { canvas } of [this.picture, this.marks]) {
      canvas.width = Math.round(this.width * ratio);
      canvas.height = Math.round(this.height * ratio);
    }
    if (this.#fitted) this.fit();
    this.redraw();
  }

  // Show a micrograph; the zoom stays where the next one is as large as the last.
  show(micrograph, query) {
    const { width, height } = this.#size;
    this.#size = { width: micrograph.width, height: micrograph.height };
    this.tiles.show(micrograph, query);
    if (width !== micrograph.width || height !== micrograph.height || this.#fitted) this.fit();
    this.redraw();
  }

  clear() {
    this.tiles.clear();
    this.redraw();
  }

  get #fitting() {
    return Math.min(this.width / this.#size.width, this.height / this.#size.height);
  }

  fit() {
    this.#fitted = true;
    this.scale = this.#fitting;
    [this.x, this.y] = [this.#size.width / 2 - 0.5, this.#size.height / 2 - 0.5];
    this.#changed();
  }

  // Zoom by a factor, keeping the place under a point of the screen.
  zoom(factor, sx = this.width / 2, sy = this.height / 2) {
    const [x, y] = this.toImage(sx, sy);
    const wished = Math.min(Math.max(this.scale * factor, this.#fitting / 2), LARGEST);
    this.#fitted = false;
    this.scale = wished;
    this.x = x - (sx - this.width / 2) / wished;
    this.y = y - (sy - this.height / 2) / wished;
    this.#changed();
  }

  pan(dx, dy) {
    this.#fitted = false;
    this.x -= dx / this.scale;
    this.y -= dy / this.scale;
    this.#changed();
  }

  // Bring a position into sight, at the middle if it is not well inside.
  reveal(x, y) {
    const [sx, sy] = this.toScreen(x, y);
    const margin = 0.12;
    const inside = (value, extent) => value > margin * extent && value < (1 - margin) * extent;
    if (inside(sx, this.width) && inside(sy, this.height)) return;
    if (this.#fitted) return; // all of it is in sight
    [this.x, this.y] = [x, y];
    this.#changed();
  }

  // Bring a position to the middle, large enough that a circle of this radius is easily seen.
  focus(x, y, radius) {
    this.#fitted = false;
    this.scale = Math.max(this.scale, Math.min(30 / radius, LARGEST));
    [this.x, this.y] = [x, y];
    this.#changed();
  }

  contains(x, y) {
    return x >= -0.5 && y >= -0.5 && x <= this.#size.width - 0.5 && y <= this.#size.height - 0.5;
  }

  toImage(sx, sy) {
    return [this.x + (sx - this.width / 2) / this.scale, this.y + (sy - this.height / 2) / this.scale];
  }

  toScreen(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, (y - this.y) * this.scale + this.height / 2];
  }

  #changed() {
    const keep = (value, extent) => Math.min(Math.max(value, -0.5), extent - 0.5);
    this.x = keep(this.x, this.#size.width);
    this.y = keep(this.y, this.#size.height);
    this.dispatchEvent(new Event("move"));
    this.redraw();
  }

  redraw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      const ratio = window.devicePixelRatio;
      const [left, top] = this.toScreen(-0.5, -0.5).map((value) => value * ratio);
      this.tiles.draw(this.picture, { scale: this.scale * ratio, left, top });
      this.marks.setTransform(ratio, 0, 0, ratio, 0, 0);
      this.marks.clearRect(0, 0, this.width, this.height);
      this.dispatchEvent(new Event("draw"));
    });
  }
}
