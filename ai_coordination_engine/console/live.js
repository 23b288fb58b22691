// Live documents over a WebSocket, or else asked for each second.
import { createClient, useLayoutEffect, useState } from "./vendor.js";
import { DOCUMENTS, ask, authorization, begun, config, drawn, endpoint, failure, pause } from "./client.js";

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
