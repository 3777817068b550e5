// Questions to the server. Paths are relative: the page's own address holds the token.

export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

function lost() {
  throw new Refused("No connection to heliodor label", 0);
}

async function ask(path, options) {
  const response = await fetch(path, options).catch(lost);
  if (response.status === 403) {
    throw new Refused("This page is of an earlier heliodor label: open the address that the new one printed.", 403);
  }
  const words = await response.json().catch(lost);
  if (!response.ok) throw new Refused(words.error, response.status);
  return words;
}

export const get = (path) => ask(path);

export const post = (path, body = {}) =>
  ask(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
