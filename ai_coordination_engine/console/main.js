// The frame: navigation, the state of the connection, and the screen of the address.
import { render, useEffect, useState } from "./vendor.js";
import { begins, config, connection, signing, useWatched } from "./client.js";
import { Session } from "./session.js";
import { Announcements, Empty, html, later, to, useAddress, useEvent } from "./ui.js";

const Sessions = later(() => import("./sessions.js"), "Sessions");
const SCREENS = {
  __proto__: null, "": Sessions, sessions: Sessions, session: Session,
  latest: later(() => import("./sessions.js"), "Latest"), inbox: later(() => import("./inbox.js"), "Inbox"),
  coordinations: later(() => import("./coordinations.js"), "Coordinations"),
  coordination: later(() => import("./coordinations.js"), "Coordination"),
  editor: later(() => import("./editor.js"), "Editor"), query: later(() => import("./query.js"), "Query"),
};
const UUIDS = { session: 2, coordination: 1 };
const NAVIGATION = [
  ["sessions", "Sessions", ["", "sessions", "session", "latest"]], ["inbox", "Inbox", ["inbox"]],
  ["coordinations", "Coordinations", ["coordinations", "coordination"]], ["editor", "Run file", ["editor"]],
  ["query", "Query", ["query"]],
];
const CONNECTIONS = {
  connecting: ["Connecting", "idle"], live: ["Live", "done"], polling: ["Asks each second", "hold"],
  broken: ["Reconnecting", "fail"],
};

function Connection() {
  const state = useEvent("connection", connection);
  const [words, kind] = CONNECTIONS[state];
  return html`<span class="connection ${kind}" role="status" data-state=${state}><span class="dot" aria-hidden="true" />${words}</span>`;
}

const stored = localStorage.getItem("ace-theme"); // the first look waits for the disk: now, while the session is asked for

function Theme() {
  const [theme, set] = useState(stored);
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const other = dark ? "light" : "dark";
  if (theme) document.documentElement.dataset.theme = theme;
  if (theme) localStorage.setItem("ace-theme", theme);
  return html`<button class="theme" aria-label="Use the ${other} theme" onClick=${() => set(other)}>${dark ? "☀" : "☾"}</button>`;
}

function Console() {
  const { path, query } = useAddress();
  const Screen = !(path.length <= UUIDS[path[0]]) && SCREENS[path[0]];
  const inbox = useWatched("Waiting", { limit: 50 }, { calm: true }).value?.userInbox;
  const waiting = inbox?.sessionAgentList ?? [];
  useEffect(() => {
    document.title = "Coordination Engine";
    scrollTo(0, 0);
  }, [path.join("/")]);
  return html`
    <a class="skip" href="#content" onClick=${(event) => { event.preventDefault(); document.querySelector("main")?.focus(); }}>Skip to the content</a>
    <header class="top"><a class="brand" href=${to("sessions")}><img src="/console/icon.svg" alt="" width="26" height="26" />
        <span>Coordination Engine</span></a>
      <nav aria-label="Screens">${NAVIGATION.map(([name, title, below]) => html`<a key=${name} href=${to(name)}
        aria-current=${below.includes(path[0]) ? "page" : undefined}>${title}${name === "inbox" && waiting.length > 0
        && html` <span class="count">${waiting.length}${inbox.nextCursor && "+"}</span>`}</a>`)}</nav>
      <div class="right"><${Connection} /><${Theme} />
        ${config.signIn ? html`<button onClick=${signing.signOut}>Sign out</button>`
          : !config.graphql && html`<a href="/README.md">Docs</a>`}</div></header>
    <div id="content">${Screen ? html`<${Screen} key=${path.join("/")} path=${path} query=${query} waiting=${waiting} />`
      : html`<main><${Empty} title="There is no such page"><a href=${to("sessions")}>Show the sessions</a><//></main>`}</div>
    <${Announcements} />`;
}

await begins;
render(html`<${Console} />`, document.body);
