// Drawing labels and picks, and finding them by place.

export const COLOURS = { particle: "#2fe0a2", negative: "#ff6b81", cross: "#ffffff" };
const BINS = 12;

// Low to high: violet, orange, yellow; told apart by lightness too.
const RAMP = [
  [122, 92, 255],
  [214, 84, 190],
  [255, 138, 76],
  [255, 226, 92],
];

export function colourOf(fraction) {
  const place = Math.min(Math.max(fraction, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  const mixed = RAMP[low].map((value, k) => Math.round(value + (place - low) * (RAMP[low + 1][k] - value)));
  return `rgb(${mixed.join(" ")})`;
}

// Points in squares as wide as the distance that is asked for: the nearest one within it.
export class Grid {
  #cells = new Map();
  #size;

  constructor(points, size) {
    this.#size = size;
    for (const point of points) {
      const key = this.#key(point.x, point.y);
      if (!this.#cells.has(key)) this.#cells.set(key, []);
      this.#cells.get(key).push(point);
    }
  }

  #key(x, y) {
    return `${Math.floor(x / this.#size)},${Math.floor(y / this.#size)}`;
  }

  nearest(x, y) {
    let best = null;
    let least = this.#size;
    for (let dx = -1; dx <= 1; dx++) {
      for (let dy = -1; dy <= 1; dy++) {
        for (const point of this.#cells.get(this.#key(x + dx * this.#size, y + dy * this.#size)) ?? []) {
          const distance = Math.hypot(point.x - x, point.y - y);
          if (distance <= least) [best, least] = [point, distance];
        }
      }
    }
    return best;
  }
}

export class Marks {
  picks = []; // those above the threshold that have no label, best first
  hidden = false;
  moved = null; // {id, x, y} of a label that is being dragged
  erased = new Set(); // ids that the brush has gone over
  brush = null; // {x, y, radius}
  cross = null; // {x, y}
  chosen = null; // a pick
  #store;

  constructor(store) {
    this.#store = store;
    for (const name of ["open", "labels", "picks", "threshold"]) store.addEventListener(name, () => this.refresh());
  }

  // Find out which picks are to be seen: a label stands for the pick within a third of the diameter.
  refresh() {
    const store = this.#store;
    const taken = new Grid(store.labels.values(), (2 / 3) * store.radius);
    const picks = store.summary ? store.picks : []; // the threshold comes with the summary
    this.picks = picks.filter((pick) => store.isPick(pick) && !taken.nearest(pick.x, pick.y));
    this.pickGrid = new Grid(this.picks, Math.max(store.radius, 1));
    const chosen = this.chosen;
    this.chosen = store.picks.includes(chosen) && !taken.nearest(chosen.x, chosen.y) ? chosen : null;
  }

  // Where a pick's colour is on the ramp: its probability, or its score between those of the worst and the best.
  fraction({ score, probability }) {
    const { low, high } = this.#store.summary;
    return probability ?? (score - low) / (high - low);
  }

  draw(view) {
    const context = view.marks;
    const radius = Math.max(this.#store.radius * view.scale, 3);
    if (!this.hidden) {
      this.#drawPicks(context, view, radius);
      this.#drawLabels(context, view, radius);
    }
    if (this.brush) circle(context, view, this.brush, this.brush.radius * view.scale, COLOURS.cross, 1, [4, 4]);
    if (this.chosen) circle(context, view, this.chosen, radius + 4, COLOURS.cross, 1.5, []);
    if (this.cross) this.#drawCross(context, view);
  }

  #drawPicks(context, view, radius) {
    const bins = Array.from({ length: BINS }, () => new Path2D());
    for (const pick of this.picks) {
      const [x, y] = view.toScreen(pick.x, pick.y);
      if (x < -radius || y < -radius || x > view.width + radius || y > view.height + radius) continue;
      const path = bins[Math.min(BINS - 1, Math.floor(this.fraction(pick) * BINS))];
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
    }
    bins.forEach((path, bin) => {
      context.strokeStyle = "rgb(0 0 0 / 0.35)";
      context.lineWidth = 2.5;
      context.stroke(path);
      context.strokeStyle = colourOf((bin + 0.5) / BINS);
      context.lineWidth = 1.25;
      context.stroke(path);
    });
  }

  #drawLabels(context, view, radius) {
    const paths = { particle: new Path2D(), negative: new Path2D() };
    for (const [id, label] of this.#store.labels) {
      if (this.erased.has(id)) continue;
      const place = this.moved?.id === id ? this.moved : label;
      const [x, y] = view.toScreen(place.x, place.y);
      if (x < -radius || y < -radius || x > view.width + radius || y > view.height + radius) continue;
      const path = paths[label.kind];
      path.moveTo(x + radius, y);
      path.arc(x, y, radius, 0, 2 * Math.PI);
      if (label.kind === "negative") {
        const d = radius * Math.SQRT1_2;
        path.moveTo(x - d, y + d);
        path.lineTo(x + d, y - d);
      } else if (radius > 8) {
        path.moveTo(x + 1.5, y);
        path.arc(x, y, 1.5, 0, 2 * Math.PI);
      }
    }
    for (const [kind, path] of Object.entries(paths)) {
      context.strokeStyle = "rgb(0 0 0 / 0.55)"; // a dark rim: seen on bright ground too
      context.lineWidth = 3.5;
      context.stroke(path);
      context.strokeStyle = COLOURS[kind];
      context.lineWidth = 2;
      context.stroke(path);
    }
  }

  #drawCross(context, view) {
    const [x, y] = view.toScreen(this.cross.x, this.cross.y).map((value) => Math.round(value) + 0.5);
    const path = new Path2D();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      path.moveTo(x + 4 * dx, y + 4 * dy);
      path.lineTo(x + 16 * dx, y + 16 * dy);
    }
    for (const [colour, width] of [["rgb(0 0 0 / 0.6)", 4], [COLOURS.cross, 1.5]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke(path);
    }
  }
}

function circle(context, view, place, radius, colour, width, dashes) {
  const [x, y] = view.toScreen(place.x, place.y);
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.setLineDash(dashes);
  context.stroke();
  context.setLineDash([]);
}
