// Edits of labels: what they do, how they are undone, and how they get to the server.

import { post } from "./api.js";

const STEPS = 500; // of undo
const PATIENCE = 1500; // milliseconds until what did not arrive is sent again

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

export const doneAfter = (done, edits) => edits.findLast((edit) => edit.do === "done")?.value ?? done;

export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function inverse(edit, labels) {
  const old = labels.get(edit.id);
  if (edit.do === "add") return { do: "delete", id: edit.id };
  if (edit.do === "delete") return { do: "add", id: edit.id, ...old };
  if (edit.do === "change") return { do: "change", id: edit.id, ...old };
  return { do: "done", value: !edit.value };
}

// What this tab has done: steps of {index, edits} of a micrograph, and those that take them back.
export class History {
  #done = [];
  #undone = [];

  add(index, edits, labels) {
    this.#done.push({ index, edits, back: edits.map((edit) => inverse(edit, labels)).reverse() });
    if (this.#done.length > STEPS) this.#done.shift();
    this.#undone = [];
  }

  get canUndo() {
    return this.#done.length > 0;
  }

  get canRedo() {
    return this.#undone.length > 0;
  }

  undo() {
    const step = this.#done.pop();
    if (!step) return null;
    this.#undone.push(step);
    return { index: step.index, edits: step.back };
  }

  redo() {
    const step = this.#undone.pop();
    if (!step) return null;
    this.#done.push(step);
    return step;
  }
}

// Edits on their way: sent in order, again and again until the server has them.
export class Outbox {
  waiting = []; // {index, edits}
  #sending = false;
  #events;

  // events: base(index), confirmed(index, answer, edits), told(problem), dropped()
  constructor(events) {
    this.#events = events;
  }

  of(index) {
    return this.waiting.filter((one) => one.index === index).flatMap((one) => one.edits);
  }

  add(index, edits) {
    this.waiting.push({ index, edits });
    this.#flush();
  }

  async #flush() {
    if (this.#sending) return;
    this.#sending = true;
    while (this.waiting.length) await this.#sendBatch();
    this.#sending = false;
    this.#events.told("");
  }

  // Send what waits for the micrograph that is first.
  async #sendBatch() {
    const { index } = this.waiting[0];
    const other = this.waiting.findIndex((one) => one.index !== index);
    const count = other < 0 ? this.waiting.length : other;
    const edits = this.waiting.slice(0, count).flatMap((one) => one.edits);
    try {
      const answer = await post(`api/edit/${index}`, { base: this.#events.base(index), edits });
      this.waiting.splice(0, count);
      this.#events.confirmed(index, answer, edits);
    } catch (error) {
      this.#events.told(error.message);
      if (error.status === 422) {
        this.waiting.splice(0, count); // it will never be taken
        this.#events.dropped();
      }
      await patience();
    }
  }
}

// Choices on their way: the newest value of each, sent again and again until the server has written it.
export class Choices {
  #waiting = {};
  #sending = null;
  #told;

  constructor(told) {
    this.#told = told;
  }

  get waiting() {
    return this.#sending !== null;
  }

  // Resolves when all that waits has been written, or refused.
  keep(values) {
    Object.assign(this.#waiting, values);
    this.#sending ??= this.#flush();
    return this.#sending;
  }

  async #flush() {
    while (Object.keys(this.#waiting).length) {
      const values = this.#waiting;
      this.#waiting = {};
      try {
        await post("api/choices", values);
      } catch (error) {
        this.#told(error.message);
        if (error.status !== 422) this.#waiting = { ...values, ...this.#waiting };
        await patience();
      }
    }
    this.#sending = null;
    this.#told("");
  }
}

const patience = () => new Promise((resolve) => setTimeout(resolve, PATIENCE));
