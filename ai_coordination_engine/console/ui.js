// What all screens are made of: the state of the address, badges, times, messages, dialogs.
import { drawn } from "./client.js";
import { h, htm, useEffect, useMemo, useRef, useState } from "./vendor.js";

export const html = htm.bind(h);

/** A symbol, a word and a tone for each status and state, so that colour is never the only sign. */
const STATES = {
  initial: ["○", "Not begun"], dispatched: ["○", "Starting"], pending: ["◔", "Pending", "hold"],
  executing: ["◐", "Running", "run"], in_progress: ["◐", "Running", "run"], active: ["◐", "Active", "run"],
  in_transit: ["◐", "Restarting", "run"], wait_for_user_input: ["?", "Waits for a person", "ask"],
  paused: ["‖", "Paused", "hold"], completed: ["✓", "Completed", "done"], failed: ["✕", "Failed", "fail"],
  timeout: ["✕", "Timed out", "fail"], skipped: ["→", "Skipped"], cancelled: ["⊘", "Cancelled"],
  asked: ["?", "Asked", "ask"], lost: ["✕", "Lost", "fail"], expired: ["✕", "Expired", "fail"],
};
export const FINAL = new Set(["completed", "failed", "timeout", "skipped", "cancelled"]); // of sessions and agents
export const word = (state) => STATES[state]?.[1] ?? state;
export const tone = (state) => STATES[state]?.[2] ?? "idle";
const symbol = (state) => STATES[state]?.[0] ?? "·";

export const Badge = ({ state, label }) => html`<span class="badge ${tone(state)}">
  <span class="symbol" aria-hidden="true">${symbol(state)}</span>${label ?? word(state)}</span>`;

export const Symbol = ({ state }) => html`<span class="symbol ${tone(state)}" role="img" aria-label=${word(state)}>${symbol(state)}</span>`;

/** Whom an agent asks. */
export const person = (agent) => visible(agent.agentAction?.userInTheLoop ?? "a person");

/** The status of a session; of one that runs, the people that it waits for. */
export const Status = ({ status, people }) => html`<${Badge} ...${people.length && ["dispatched", "in_progress"].includes(status)
  ? { state: "wait_for_user_input", label: `Waits for ${[...new Set(people)].join(", ")}` } : { state: status }} />`;

export const plural = (number, one, many = `${one}s`) => `${number} ${number === 1 ? one : many}`;

const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Make control characters visible, such as those that colour a terminal or turn a line around. */
export const visible = (text) => text.replace(/\r\n/g, "\n").replace(CONTROLS, (each) => {
  const code = each.codePointAt(0);
  if (code < 32) return String.fromCharCode(0x2400 + code);
  return `\u2039U+${code.toString(16).toUpperCase().padStart(4, "0")}\u203a`;
});

const UNITS = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];

export function span(milliseconds) {
  const seconds = Math.max(milliseconds, 0) / 1000;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.floor(seconds)} s`;
  const [size, unit, next, smaller] = UNITS.find(([each]) => seconds >= each);
  const rest = Math.floor((seconds % size) / next);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${smaller}` : ""}`;
}

/** How long something, or a session, has taken until now, or took in all. */
export function Took({ session, since = session.createdAt, until = FINAL.has(session?.status) && session.updatedAt }) {
  useTick(until ? 0 : 1000);
  return span((until ? moment(until) : Date.now()) - moment(since));
}

export const moment = (text) => (text ? Date.parse(text) : null);

export function Ago({ time }) {
  useTick(10_000);
  if (!time) return html`<span class="muted">–</span>`;
  const past = Date.now() - moment(time);
  const words = past < 5000 && past > -5000 ? "now" : past > 0 ? `${span(past)} ago` : `in ${span(-past)}`;
  return html`<time datetime=${time} title=${new Date(time).toLocaleString()}>${words}</time>`;
}

/** Renders again every so many milliseconds (0 stops it); answers how often it has. */
export function useTick(every) {
  const [count, set] = useState(0);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => set((last) => last + 1), every);
    return () => clearInterval(timer);
  }, [every]);
  return count;
}

/** Call back for each key, unless a dialog is open. */
export function useKeys(onKey) {
  const latest = useRef();
  latest.current = onKey;
  useEffect(() => {
    const pressed = (event) => document.querySelector("dialog[open]") || latest.current(event);
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}

/** The address as it is now: {path, query}. */
export function parse() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** What `read` answers; undefined when it fails. */
export function tried(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}
export const decoded = (text) => tried(() => decodeURIComponent(text)) ?? text;

export const useAddress = () => useEvent("hashchange", parse);

/** What `read` answers now, and after each event of the window with this name. */
export function useEvent(name, read) {
  const [value, set] = useState(read);
  useEffect(() => {
    const changed = () => set(read());
    addEventListener(name, changed);
    changed(); // it may have changed since the first rendering
    return () => removeEventListener(name, changed);
  }, []);
  return value;
}

/** The address of a screen: to("session", c, s, {view: "list"}). */
export function to(...parts) {
  const query = typeof parts.at(-1) === "object" ? parts.pop() : {};
  const kept = Object.entries(query).filter(([, value]) => value);
  const text = new URLSearchParams(kept).toString();
  return `#/${parts.map(encodeURIComponent).join("/")}${text && `?${text}`}`;
}

export const taskKey = (...uuids) => uuids.map(encodeURIComponent).join(" ");
export const replace = (address) => {
  history.replaceState(null, "", address);
  dispatchEvent(new HashChangeEvent("hashchange"));
};

export const Empty = ({ title, children }) => html`<div class="empty"><p class="title">${title}</p><p>${children}</p></div>`;

export function Problem({ error, again }) {
  if (!error) return null;
  return html`<div class="problem" role="alert"><span class="symbol fail" aria-hidden="true">✕</span>
    <p>${error.message}${error.code && html` <code>${error.code}</code>`}</p>
    ${again && html`<button onClick=${again}>Try again</button>`}</div>`;
}

export const Loading = () => html`<div class="loading" role="status"><span class="visually-hidden">Loading</span></div>`;

/** What stands where a value is not there, or not the present one. */
export const Missing = ({ value, error, again }) => html`<${Problem} error=${error} again=${again} />
  ${!value && !error && html`<${Loading} />`}`;

let announce = () => {};
export function Announcements() {
  const [text, set] = useState("");
  announce = set;
  useEffect(() => {
    const timer = text && setTimeout(() => set(""), 6000);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<div class="toast ${text ? "shown" : ""}" role="status">${text}</div>`;
}
export const say = (text) => announce(text);

export function Uuid({ value }) {
  const copy = () => navigator.clipboard?.writeText(value).then(() => say("Copied."), () => {});
  return html`<button class="uuid" title="Copy ${value}" onClick=${copy}>${value.length > 18 ? `${value.slice(0, 13)}…` : value}</button>`;
}

/** [send, busy, error] of something that is sent once at a time, and may fail. */
export function useSending(work) {
  const [{ busy, error }, set] = useState({});
  const send = async (...given) => {
    if (busy) return;
    set({ busy: true });
    await work(...given).then(() => set({}), (problem) => set({ error: problem }));
  };
  return [send, busy, error];
}

/** A uuid of version 7: lists are in the order of uuids, so that they begin with the time. */
export const newUuid = () => `${Date.now().toString(16).padStart(12, "0").replace(/.{8}/, "$&-")}-7${crypto.randomUUID().slice(15)}`;

/** A modal dialog. `onSend` is called with a key that is the same when it is tried again. It may fail. */
export function Dialog({ title, children, action, danger, onSend, onClose }) {
  const ref = useRef();
  const key = useMemo(newUuid, []);
  const [send, busy, error] = useSending(() => onSend(key).then(onClose));
  useEffect(() => {
    if (!ref.current.open) ref.current.showModal();
  }, []);
  return html`<dialog ref=${ref} onClose=${onClose} aria-labelledby="dialog-title">
    <form onSubmit=${(event) => { event.preventDefault(); send(); }}><h2 id="dialog-title">${title}</h2>
      ${children}
      <${Problem} error=${error} />
      <div class="actions"><button type="button" onClick=${onClose}>Back</button>
        <button class=${danger ? "danger" : "primary"} disabled=${busy}>${action}</button></div>
    </form></dialog>`;
}

/** A button that opens a dialog; the rest is for the dialog. */
export function Opens({ words, kind, dialog, ...rest }) {
  const [open, setOpen] = useState(false);
  return html`<button class=${kind} onClick=${() => setOpen(true)}>${words}</button>
    ${open && html`<${dialog} ...${rest} onClose=${() => setOpen(false)} />`}`;
}

export const Area = ({ label, value, onChange, ...rest }) => html`<label>${label}
  <textarea value=${value} onInput=${(event) => onChange(event.target.value)} ...${rest} /></label>`;

/** A text to search for, that is told on a while after the last key. */
export function Search({ label, value = "", onChange, ...rest }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  useEffect(() => {
    if (text === value) return undefined;
    const timer = setTimeout(() => onChange(text.trim()), 300);
    return () => clearTimeout(timer);
  }, [text]);
  return html`<label>${label}<input type="search" value=${text} onInput=${(event) => setText(event.target.value)} ...${rest} /></label>`;
}

export function Tabs({ label, tabs, current, onChoose }) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (tabs.findIndex(([name]) => name === current) + step + tabs.length) % tabs.length;
    onChoose(tabs[next][0]);
    event.currentTarget.children[next].focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${label} onKeyDown=${move}>
    ${tabs.map(([name, title]) => html`<button key=${name} role="tab" aria-selected=${name === current}
      tabindex=${name === current ? 0 : -1} onClick=${() => onChoose(name)}>${title}</button>`)}</div>`;
}

export function Pages({ page, more, onPage }) {
  if (page === 0 && !more) return null;
  return html`<nav class="pages" aria-label="Pages">
    <button disabled=${page === 0} onClick=${() => onPage(page - 1)}>Previous</button>
    <span>Page ${page + 1}</span>
    <button disabled=${!more} onClick=${() => onPage(page + 1)}>Next</button></nav>`;
}

/** Pages of a list of the API: [the cursor of this one, the buttons below a list with `nextCursor`, back to the first]. */
export function useCursors() {
  const [cursors, set] = useState([null]);
  const pages = (next) => html`<${Pages} page=${cursors.length - 1} more=${next}
    onPage=${(page) => set(page < cursors.length ? cursors.slice(0, page + 1) : [...cursors, next])} />`;
  return [cursors.at(-1), pages, () => set([null])];
}

/** Pages of a list that is here: [the rows of this one, the buttons below]. */
export function usePages(rows, size) {
  const [page, set] = useState(0);
  const [from, to] = [page * size, (page + 1) * size];
  return [rows.slice(from, to), html`<${Pages} page=${page} more=${rows.length > to} onPage=${set} />`];
}

/** A value that changes at most once in so many milliseconds. */
export function useCalm(value, every) {
  const [shown, set] = useState(value);
  const latest = useRef();
  latest.current = value;
  useEffect(() => {
    const timer = shown !== value && setTimeout(() => set(latest.current), every);
    return () => clearTimeout(timer);
  }, [shown, shown !== value]);
  return shown;
}

/** A component that is not needed at first: its code is loaded when it is shown, in this place. */
export function later(load, name, place = "main") {
  let Loaded;
  return function Later(properties) {
    const [, error, again] = useLoaded(async () => {
      await drawn;
      Loaded ??= (await load())[name];
    }, []);
    if (Loaded) return html`<${Loaded} ...${properties} />`;
    return html`<${place}><${Missing} error=${error} again=${again} /><//>`;
  };
}

/** Loads once and whenever `keys` change; answers [value, error, load again]. */
export function useLoaded(load, keys) {
  const [found, set] = useState([null, null]);
  const [count, setCount] = useState(0);
  useEffect(() => {
    let current = true;
    load().then((value) => current && set([value, null]), (error) => current && set(([value]) => [value, error]));
    return () => { current = false; };
  }, [...keys, count]);
  return [...found, () => setCount((number) => number + 1)];
}
