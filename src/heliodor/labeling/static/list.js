// The list of micrographs: only the rows in sight exist, and only their thumbnails are asked for, two at a time, when
// no tile is waited for.

const ROW = 58; // pixels, as in page.css

const FILTERS = {
  all: () => true,
  labelled: (one) => one.particles + one.negatives > 0,
  unlabelled: (one) => one.particles + one.negatives === 0,
  done: (one) => one.done,
  open: (one) => !one.done,
  flagged: (one) => Boolean(one.error || one.flag || one.proposed),
};

export class List {
  #store;
  #busy; // whether tiles are waited for
  #box = document.getElementById("list");
  #rows = document.getElementById("rows");
  #search = document.getElementById("search");
  #filter = document.getElementById("filter");
  #shown = []; // indices that pass the filter
  #built = new Map(); // index -> row
  #thumbnails = new Map(); // index -> blob URL, or null where there is none
  #loading = 0;
  #asked = false;
  #follow = false; // bring the micrograph that is shown into sight

  constructor(store, busy) {
    [this.#store, this.#busy] = [store, busy];
    this.#box.addEventListener("scroll", () => this.refresh());
    this.#box.addEventListener("keydown", (event) => this.#key(event));
    this.#search.addEventListener("input", () => this.refresh());
    this.#filter.addEventListener("change", () => this.refresh());
    new ResizeObserver(() => this.refresh()).observe(this.#box);
    store.addEventListener("list", () => this.refresh());
    store.addEventListener("open", () => {
      this.#follow = true;
      this.refresh();
    });
    setInterval(() => this.#load(), 150);
  }

  // The micrograph `by` places further down the list.
  neighbour(by) {
    const { going } = this.#store;
    const place = this.#shown.indexOf(going);
    if (place >= 0) return this.#shown[place + by] ?? -1;
    const further = this.#shown.filter((index) => (index - going) * by > 0);
    return (by > 0 ? further[0] : further.at(-1)) ?? -1;
  }

  refresh() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => {
      this.#asked = false;
      this.#draw();
    });
  }

  #draw() {
    const words = this.#search.value.toLowerCase();
    const passes = FILTERS[this.#filter.value];
    const all = this.#store.micrographs;
    this.#shown = [];
    all.forEach((one, index) => {
      if (passes(one) && one.name.toLowerCase().includes(words)) this.#shown.push(index);
    });
    this.#rows.style.height = `${this.#shown.length * ROW}px`;
    if (this.#follow) this.#reveal();
    const first = Math.max(0, Math.floor(this.#box.scrollTop / ROW) - 2);
    const last = Math.ceil((this.#box.scrollTop + this.#box.clientHeight) / ROW) + 2;
    const visible = new Map(this.#shown.slice(first, last).map((index, k) => [index, (first + k) * ROW]));
    for (const [index, row] of this.#built) {
      if (visible.has(index)) continue;
      row.remove();
      this.#built.delete(index);
    }
    for (const [index, top] of visible) {
      if (!this.#built.has(index)) this.#built.set(index, this.#build(index));
      this.#fill(this.#built.get(index), index, top);
    }
    this.#box.setAttribute("aria-activedescendant", `row-${this.#store.index}`);
    const total = (name) => all.reduce((sum, one) => sum + one[name], 0).toLocaleString("en");
    const done = all.filter((one) => one.done).length;
    const listed = this.#shown.length === all.length ? "" : `${this.#shown.length} listed of `;
    document.getElementById("totals").textContent =
      `${listed}${all.length.toLocaleString("en")} micrographs, ${done} done, ${total("particles")} labels`;
  }

  #build(index) {
    const row = document.createElement("div");
    row.className = "item";
    row.id = `row-${index}`;
    row.setAttribute("role", "option");
    row.append(element("img", "thumb"), element("span", "item-name"), element("span", "item-facts"));
    row.append(element("span", "item-flags"));
    row.querySelector("img").alt = "";
    row.addEventListener("click", () => this.#store.open(index));
    this.#rows.append(row);
    return row;
  }

  #fill(row, index, top) {
    const one = this.#store.micrographs[index];
    const chosen = index === this.#store.index;
    row.style.transform = `translateY(${top}px)`;
    row.classList.toggle("chosen", chosen);
    row.setAttribute("aria-selected", String(chosen));
    row.setAttribute("aria-posinset", String(index + 1));
    row.setAttribute("aria-setsize", String(this.#store.micrographs.length));
    row.title = one.error ?? (one.flag ? `${one.name}: ${one.flag}` : one.name);
    const [image, name, facts, flags] = row.children;
    const url = this.#thumbnails.get(index);
    if (url && image.getAttribute("src") !== url) image.src = url;
    setText(name, one.name);
    const parts = [["particle", one.particles], ["negative", one.negatives], ["pick", one.picks]];
    const text = parts.filter(([, count]) => count).map(([kind, count]) => `${kind}:${count}`).join(" ");
    if (facts.dataset.text !== text) {
      facts.dataset.text = text;
      facts.replaceChildren(
        ...parts.filter(([, count]) => count).flatMap(([kind, count]) => [element("i", `dot ${kind}`), `${count} `]),
      );
    }
    const marks = [one.done && "done", one.proposed && "proposed", one.flag && "flagged", one.error && "unreadable"].filter(Boolean);
    if (flags.dataset.text !== marks.join(" ")) {
      flags.dataset.text = marks.join(" ");
      flags.replaceChildren(...marks.map((mark) => Object.assign(element("span", `flag ${mark}`), { textContent: mark })));
    }
  }

  #reveal() {
    this.#follow = false;
    const place = this.#shown.indexOf(this.#store.index);
    if (place < 0) return;
    const [top, height] = [place * ROW, this.#box.clientHeight];
    if (top < this.#box.scrollTop) this.#box.scrollTop = top;
    else if (top + ROW > this.#box.scrollTop + height) this.#box.scrollTop = top + ROW - height;
  }

  #key(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    this.#store.open(this.neighbour(by));
  }

  // Ask for the next thumbnail that is in sight.
  async #load() {
    if (this.#loading >= 2 || this.#busy()) return;
    const index = [...this.#built.keys()].find((one) => !this.#thumbnails.has(one));
    if (index === undefined) return;
    this.#loading++;
    this.#thumbnails.set(index, null);
    try {
      const response = await fetch(`thumbnail/${index}`);
      if (response.ok) this.#thumbnails.set(index, URL.createObjectURL(await response.blob()));
    } catch (error) {
      this.#thumbnails.delete(index); // asked for again when the connection is back
      console.warn(error);
    } finally {
      this.#loading--;
      this.#forget();
      this.refresh();
    }
  }

  #forget() {
    for (const [index, url] of this.#thumbnails) {
      if (this.#thumbnails.size <= 600) break;
      if (this.#built.has(index)) continue;
      if (url) URL.revokeObjectURL(url);
      this.#thumbnails.delete(index);
    }
  }
}

function element(name, classes) {
  return Object.assign(document.createElement(name), { className: classes });
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
