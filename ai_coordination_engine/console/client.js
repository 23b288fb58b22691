// The API: requests over HTTP, and live documents over a WebSocket, or else asked for each second.
import { createClient, useEffect, useLayoutEffect, useState } from "./vendor.js";
import { authorization, signIn } from "./sign_in.js";

const [config, text] = await Promise.all([
  fetch("/console/config.json").then((found) => found.json()), fetch("/console/documents.graphql").then((found) => found.text()),
]);
const DOCUMENTS = new Map(text.split(/\n(?=query|mutation)/).slice(1).map((each) => [/^\w+ (\w+)/.exec(each)[1], each]));
const below = location.pathname.replace(/[^/]*$/, "");
const endpoint = new URL(config.graphql ?? `${below}graphql`, location.href).href;
const socketAddress = new URL(config.websocket ?? endpoint, location.href).href.replace(/^http/, "ws");
/** The address of another route of this server, beside the API of the tenant. */
export const beside = (path) => new URL(path, endpoint).href;
export { config, endpoint };

export class ApiError extends Error {
  constructor(message, code, errors) {
    super(message);
    Object.assign(this, { code, errors });
  }
}

export async function post(url, body, signal) {
  let response;
  try {
    const headers = { "content-type": "application/json", ...(await authorization(config)) };
    response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), signal });
  } catch (error) {
    throw signal?.aborted ? error : new ApiError("The server does not answer.", "OFFLINE");
  }
  if (response.status === 401) signIn(config);
  try {
    return await response.json();
  } catch {
    throw new ApiError(`The server answered ${response.status} without JSON.`);
  }
}

/** The data that a document of documents.graphql gets; throws `ApiError`. */
export async function ask(name, variables = {}, signal = undefined) {
  const answer = await post(endpoint, { query: DOCUMENTS.get(name), variables }, signal);
  if (answer.errors?.length) throw failure(answer.errors);
  return answer.data;
}

function failure(errors) {
  const messages = [...new Set(errors.map((each) => each.message))];
  return new ApiError(messages.join(" "), errors[0].extensions?.code, errors);
}

// The WebSocket. It is opened when something is watched, and opened again whenever it breaks.

let state = "connecting";
const observers = new Set();

function become(next) {
  state = next;
  for (const each of [...observers]) each(next);
}

export function useConnection() {
  const [current, set] = useState(state);
  useEffect(() => {
    observers.add(set);
    set(state);
    return () => observers.delete(set);
  }, []);
  return current;
}

let overdue;
const client = createClient({
  url: socketAddress,
  lazyCloseTimeout: 5000,
  keepAlive: 10_000,
  retryAttempts: Infinity,
  shouldRetry: () => true,
  retryWait: (tries) => new Promise((done) => {
    setTimeout(done, Math.min(200 * 2 ** tries, 5000) * (0.75 + Math.random() / 2));
  }),
  connectionParams: async () => ({ ...(await authorization(config)), ...config.connection }),
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
 * Tell `next` the value of a document now and whenever it changes. While there is no WebSocket, it is asked for each second, unless it `streams`. Answers a function
 * that stops.
 */
export function watch(name, variables, { next, fail, end, streams }) {
  let timer;
  const aborting = new AbortController();
  let live = false;
  const poll = async () => {
    clearTimeout(timer);
    if (streams) return; // there is nothing to ask for
    try {
      const data = await ask(name, variables, aborting.signal);
      if (aborting.signal.aborted || live) return;
      if (state === "broken") become("polling");
      next(data);
    } catch (error) {
      if (aborting.signal.aborted) return;
      if (error.code === "OFFLINE") become("broken");
      fail(error);
    }
    timer = setTimeout(poll, 1000);
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
  const observe = (connection) => {
    if (connection !== "broken" || aborting.signal.aborted) return;
    live = false;
    clearTimeout(timer);
    timer = setTimeout(poll, 250);
  };
  observers.add(observe);
  if (state === "live") timer = setTimeout(poll, 1500);
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
      clearTimeout(timer);
      observers.delete(observe);
      if (!streams) await refresh();
      end?.();
    },
  });
  return () => {
    aborting.abort();
    clearTimeout(timer);
    observers.delete(observe);
    stop();
  };
}

/** The latest value of a document, and the error that keeps it from changing; `count` makes it watch again. */
export function useWatched(name, variables, { count = 0 } = {}) {
  const key = JSON.stringify(variables);
  const [found, set] = useState({ key, value: null, error: null });
  useLayoutEffect(() => { // it asks before the first frame is painted
    if (!variables) return undefined;
    return watch(name, variables, {
      next: (value) => set({ key, value, error: null }),
      fail: (error) => set((last) => ({ ...last, key, error })),
    });
  }, [name, key, count]);
  return found.key === key ? found : { key, value: null, error: null };
}
