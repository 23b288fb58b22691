// The API: over HTTP, and live over a WebSocket. It is loaded before all others, and asks for the session of the address at once.

const [config, text] = await Promise.all([
  fetch("/console/config.json").then((found) => found.json()), fetch("/console/documents.graphql").then((found) => found.text()),
]);
/** How this page signs in; undefined where the API needs no token. */
export const signing = config.signIn && await import("./sign_in.js");
const DOCUMENTS = new Map(text.split(/\n(?=query|mutation)/).slice(1).map((each) => [/^\w+ (\w+)/.exec(each)[1], each]));
const below = location.pathname.replace(/[^/]*$/, "");
/** The tenant that the address names, if any. */
export const tenant = decodeURIComponent(below.split("/").at(-2));
const endpoint = new URL(config.graphql ?? `${below}graphql`, location.href).href;
/** The address of another route of this server, beside the API of the tenant. */
export const beside = (path) => new URL(path, endpoint).href;
export { config, endpoint };

const authorization = async () => signing?.authorization(config);
const apiError = (message, code) => Object.assign(new Error(message), { code });

export async function post(url, body, signal) {
  const headers = authorization().then((found) => ({ "content-type": "application/json", ...found }));
  const sent = headers.then((found) => fetch(url, { method: "POST", headers: found, body: JSON.stringify(body), signal }));
  const response = await sent.catch((error) => {
    throw signal?.aborted ? error : apiError("The server does not answer.", "OFFLINE");
  });
  if (response.status === 401) signing?.signIn(config);
  return response.json().catch(() => { throw apiError(`The server answered ${response.status} without JSON.`); });
}

/** The data that a document of documents.graphql gets; throws `apiError`. */
export async function ask(name, variables = {}, signal = undefined) {
  const answer = await post(endpoint, { query: DOCUMENTS.get(name), variables }, signal);
  if (answer.errors?.length) throw failure(answer.errors);
  return answer.data;
}

export function failure(errors) {
  const messages = [...new Set(errors.map((each) => each.message))];
  return apiError(messages.join(" "), errors[0].extensions?.code);
}

/** The entries of a list, page after page: at least `most`, or all; `more` tells whether there are others. */
export async function askAll(name, field, variables, most) {
  const found = [];
  let cursor = null;
  do {
    const { [field]: page } = await ask(name, { ...variables, cursor });
    found.push(...page[field]);
    cursor = page.nextCursor;
  } while (cursor && found.length < most);
  return { found, more: Boolean(cursor) };
}

/** The answer for the address of the page: it is asked for before the scripts of the screens are here. */
const [, c, s] = /^#\/session\/([\w.-]+)\/([\w.-]+)(?:\?|$)/.exec(location.hash) ?? [];
const first = s && { of: JSON.stringify(["Session", { c, s }]), answer: ask("Session", { c, s }) };
const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });
const here = first?.answer.catch(() => {});
/** Ends when such an answer is here, or late: the first frame shows it, instead of one without it before. */
export const begins = Promise.race([here, pause(100)]);
const frame = () => new Promise(requestAnimationFrame);
/** Ends when it was drawn, or late: a page that nobody sees has no frames. What is not needed for that waits. */
export const drawn = here?.then(() => Promise.race([frame().then(frame).then(() => pause(0)), pause(300)]));

/** The answer to a document that has been asked for already, once. */
function begun(...asked) {
  const { answer } = first ?? {};
  if (answer) first.answer = undefined;
  return first?.of === JSON.stringify(asked) ? answer : undefined;
}

const { createClient, useLayoutEffect, useState } = await import("./vendor.js");

let state = "connecting";
export const connection = () => state;

function become(next) {
  state = next;
  dispatchEvent(new Event("connection"));
}

// It is opened when something is watched, and opened again whenever it breaks.
let overdue;
const client = createClient({
  url: async () => {
    await drawn;
    return new URL(config.websocket ?? endpoint, location.href).href.replace(/^http/, "ws");
  },
  lazyCloseTimeout: 5000,
  keepAlive: 10_000,
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: (tries) => pause(Math.min(200 * 2 ** tries, 5000) * (0.75 + Math.random() / 2)),
  connectionParams: async () => ({ ...(await authorization()), ...config.connection }),
  on: {
    opened: (socket) => { client.socket = socket; },
    connected: () => become("live"),
    closed: () => {
      clearTimeout(overdue);
      if (state !== "polling") become("broken");
    },
    ping: (received) => {
      if (!received) overdue = setTimeout(() => client.socket.close(4408, "No pong"), 5000);
    },
    pong: (received) => received && clearTimeout(overdue),
  },
});
addEventListener("online", () => state !== "live" && client.socket?.close());

/**
 * Tell `next` the value of a document now and whenever it changes. While there is no WebSocket, it is asked for each second, unless it `streams`. What is
 * `calm` gives the WebSocket a while before it is asked for. Answers a function that stops.
 */
export function watch(name, variables, { next, fail, calm, streams }) {
  let timer;
  const aborting = new AbortController();
  let live = false;
  const soon = (milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(poll, milliseconds);
  };
  const poll = async () => {
    if (streams) return; // there is nothing to ask for
    try {
      const data = await (begun(name, variables) ?? ask(name, variables, aborting.signal));
      if (aborting.signal.aborted || live) return;
      if (state === "broken") become("polling");
      next(data);
    } catch (error) {
      if (aborting.signal.aborted) return;
      if (error.code === "OFFLINE") become("broken");
      fail(error);
    }
    soon(1000);
  };
  let asked = 0; // times that somebody has said that there is more than the socket told
  const refresh = async () => {
    asked += 1;
    if (asked > 1) return;
    for (let seen = 0; seen < asked && !aborting.signal.aborted;) {
      seen = asked;
      await ask(name, variables, aborting.signal).then(next, () => {});
    }
    asked = 0;
  };
  addEventListener("connection", () => {
    if (state !== "broken") return;
    live = false;
    soon(250);
  }, { signal: aborting.signal });
  if (state === "live" || calm) soon(1500);
  else poll();
  const stop = client.subscribe({ query: DOCUMENTS.get(name).replace("query", "subscription"), variables }, {
    next: async ({ data, errors, extensions }) => {
      if (errors?.length) return fail(failure(errors));
      clearTimeout(timer);
      live = true;
      return extensions?.truncated ? refresh() : next(data);
    },
    error: (problem) => {
      if (aborting.signal.aborted) return;
      const refused = Array.isArray(problem) && failure(problem);
      if (refused && refused.code && refused.code !== "BAD_USER_INPUT") fail(refused);
      else poll();
    },
    complete: async () => {
      if (aborting.signal.aborted) return;
      if (!streams) await refresh();
      aborting.abort();
      clearTimeout(timer);
    },
  });
  return () => {
    aborting.abort();
    clearTimeout(timer);
    stop();
  };
}

/** The latest value of a document, and the error that keeps it from changing; `count` makes it watch again. */
export function useWatched(name, variables, { count = 0, calm = false } = {}) {
  const key = JSON.stringify(variables);
  const [found, set] = useState({ key, value: null, error: null });
  useLayoutEffect(() => watch(name, variables, { // it asks before the first frame is painted
    calm,
    next: (value) => set({ key, value, error: null }),
    fail: (error) => set((last) => ({ ...last, key, error })),
  }), [name, key, count]);
  return found.key === key ? found : { key, value: null, error: null };
}
