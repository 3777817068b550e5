// Tiles of a micrograph: asked for as they come into sight, the middle first; what is there is drawn meanwhile.

const TILE = 512;
const SMALLEST = 256;
const AT_ONCE = 4; // requests
const KEPT = 160; // tiles of up to 1 MB
const PATIENCE = 1000; // milliseconds until a tile that did not come is asked for again

function levelsOf(width, height) {
  const levels = [{ width, height }];
  while (Math.max(width, height) > SMALLEST) {
    width = Math.ceil(width / 2);
    height = Math.ceil(height / 2);
    levels.push({ width, height });
  }
  return levels;
}

export class Tiles {
  #levels = [];
  #prefix = ""; // of the tiles that are wanted
  #previous = ""; // of those of the same micrograph that were seen before the look changed
  #query = "";
  #bitmaps = new Map();
  #running = new Map(); // key -> AbortController
  #wanted = [];
  #onload;
  #onproblem;

  // onload: there is something to draw; onproblem(why): the micrograph cannot be read.
  constructor(onload, onproblem) {
    [this.#onload, this.#onproblem] = [onload, onproblem];
  }

  // Show a micrograph {index, width, height, version}, rendered as the query says.
  show(micrograph, query) {
    const prefix = `${micrograph.index}/${micrograph.version}/${query}/`;
    if (prefix === this.#prefix) return;
    const same = this.#prefix.startsWith(`${micrograph.index}/${micrograph.version}/`);
    this.#previous = same ? this.#prefix : "";
    this.#prefix = prefix;
    this.#query = `${query}&v=${micrograph.version}`;
    this.#levels = levelsOf(micrograph.width, micrograph.height);
    for (const controller of this.#running.values()) controller.abort();
    this.#wanted = [];
  }

  clear() {
    this.#prefix = this.#previous = "";
    this.#levels = [];
    this.#wanted = [];
  }

  get busy() {
    return this.#running.size > 0 || this.#wanted.length > 0;
  }

  // Draw into a canvas of device pixels; `view` has scale (device pixels per image pixel), left and top (device
  // pixels of the image's corner).
  draw(context, view) {
    const { width, height } = context.canvas;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.#levels.length) return;
    const full = this.#levels[0];
    context.save();
    context.beginPath();
    context.rect(view.left, view.top, full.width * view.scale, full.height * view.scale);
    context.clip();
    context.imageSmoothingEnabled = view.scale < 4;
    context.imageSmoothingQuality = "medium";
    const wish = Math.floor(Math.log2(1 / view.scale) + 0.1);
    const level = Math.min(Math.max(wish, 0), this.#levels.length - 1);
    const size = TILE * 2 ** level * view.scale;
    const { width: w, height: h } = this.#levels[level];
    const range = (start, extent, tiles) => [
      Math.max(0, Math.floor(-start / size)),
      Math.min(tiles - 1, Math.floor((extent - start) / size)),
    ];
    const [left, right] = range(view.left, width, Math.ceil(w / TILE));
    const [top, bottom] = range(view.top, height, Math.ceil(h / TILE));
    const missing = [];
    for (let row = top; row <= bottom; row++) {
      for (let column = left; column <= right; column++) {
        if (!this.#drawTile(context, view, level, row, column)) missing.push({ level, row, column });
      }
    }
    context.restore();
    this.#want(missing, (view.left - width / 2) / -size - 0.5, (view.top - height / 2) / -size - 0.5);
  }

  // Draw a tile, or what there is of its place; return whether it was the tile.
  #drawTile(context, view, level, row, column) {
    const exact = this.#bitmaps.get(`${this.#prefix}${level}/${row}/${column}`);
    if (exact) {
      this.#paint(context, view, exact, level, row, column, level, row, column);
      return true;
    }
    for (const prefix of [this.#previous, this.#prefix]) {
      for (let coarse = level; prefix && coarse < this.#levels.length; coarse++) {
        const [r, c] = [row >> (coarse - level), column >> (coarse - level)];
        const bitmap = this.#bitmaps.get(`${prefix}${coarse}/${r}/${c}`);
        if (bitmap) {
          this.#paint(context, view, bitmap, level, row, column, coarse, r, c);
          return false;
        }
      }
    }
    return false;
  }

  // Draw the place of one tile from the bitmap of that tile or of a coarser one. Edges are rounded to device pixels,
  // so that no seam is seen between neighbours.
  #paint(context, view, bitmap, level, row, column, coarse, bitmapRow, bitmapColumn) {
    const step = 2 ** (coarse - level);
    const { width, height } = this.#levels[level];
    const [x0, y0] = [column * TILE, row * TILE];
    const [x1, y1] = [Math.min(x0 + TILE, width), Math.min(y0 + TILE, height)];
    const pixel = 2 ** level * view.scale;
    const [dx0, dy0] = [Math.round(view.left + x0 * pixel), Math.round(view.top + y0 * pixel)];
    const [dx1, dy1] = [Math.round(view.left + x1 * pixel), Math.round(view.top + y1 * pixel)];
    const sx = x0 / step - bitmapColumn * TILE;
    const sy = y0 / step - bitmapRow * TILE;
    context.drawImage(bitmap, sx, sy, (x1 - x0) / step, (y1 - y0) / step, dx0, dy0, dx1 - dx0, dy1 - dy0);
  }

  #want(tiles, middleColumn, middleRow) {
    const distance = (tile) => Math.hypot(tile.column - middleColumn, tile.row - middleRow);
    tiles.sort((one, other) => distance(one) - distance(other));
    const keys = new Set(tiles.map((tile) => `${this.#prefix}${tile.level}/${tile.row}/${tile.column}`));
    for (const [key, controller] of this.#running) if (!keys.has(key)) controller.abort();
    this.#wanted = tiles;
    this.#next();
  }

  #next() {
    while (this.#running.size < AT_ONCE && this.#wanted.length) {
      const tile = this.#wanted.shift();
      const key = `${this.#prefix}${tile.level}/${tile.row}/${tile.column}`;
      if (!this.#running.has(key) && !this.#bitmaps.has(key)) this.#load(key, tile);
    }
  }

  async #load(key, { level, row, column }) {
    const controller = new AbortController();
    this.#running.set(key, controller);
    const index = key.slice(0, key.indexOf("/"));
    try {
      const response = await fetch(`tile/${index}/${level}/${row}/${column}?${this.#query}`, {
        signal: controller.signal,
      });
      if (response.status === 422) {
        const { error } = await response.json();
        if (key.startsWith(this.#prefix)) this.#onproblem(error);
        return;
      }
      if (!response.ok) throw new Error(`tile ${key}: ${response.status}`);
      this.#keep(key, await createImageBitmap(await response.blob()));
    } catch (error) {
      if (error.name === "AbortError") return;
      console.warn(error);
      await new Promise((resolve) => setTimeout(resolve, PATIENCE));
    } finally {
      this.#running.delete(key);
      if (!controller.signal.aborted) this.#onload();
      this.#next();
    }
  }

  #keep(key, bitmap) {
    this.#bitmaps.set(key, bitmap);
    for (const [old, one] of this.#bitmaps) {
      if (this.#bitmaps.size <= KEPT) break;
      one.close();
      this.#bitmaps.delete(old);
    }
  }
}
