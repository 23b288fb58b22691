// What all screens are made of: the state of the address, badges, times, messages, dialogs.
import { h, htm, useCallback, useEffect, useRef, useState } from "./vendor.js";

export const html = htm.bind(h);

/** A symbol and a word for each status and state, so that colour is never the only sign. */
export const STATES = {
  initial: ["○", "Not begun"], dispatched: ["○", "Starting"], pending: ["◔", "Pending"],
  executing: ["◐", "Running"], in_progress: ["◐", "Running"], active: ["◐", "Active"],
  in_transit: ["◐", "Restarting"], wait_for_user_input: ["?", "Waits for a person"],
  paused: ["‖", "Paused"], completed: ["✓", "Completed"], failed: ["✕", "Failed"],
  timeout: ["✕", "Timed out"], skipped: ["→", "Skipped"], cancelled: ["⊘", "Cancelled"],
  lost: ["✕", "Lost"], expired: ["✕", "Expired"],
};
export const FINAL = new Set(["completed", "failed", "timeout", "skipped", "cancelled"]);
const TONES = {
  executing: "run", in_progress: "run", active: "run", in_transit: "run", completed: "done",
  failed: "fail", timeout: "fail", lost: "fail", expired: "fail", wait_for_user_input: "ask",
  paused: "hold", pending: "hold",
};
export const tone = (state) => TONES[state] ?? "idle";

export function Badge({ state, label }) {
  const [symbol, word] = STATES[state] ?? ["·", state];
  return html`<span class="badge ${tone(state)}">
    <span class="symbol" aria-hidden="true">${symbol}</span>${label ?? word}</span>`;
}

export function Symbol({ state }) {
  const [symbol, word] = STATES[state] ?? ["·", state];
  return html`<span class="symbol ${tone(state)}" role="img" aria-label=${word}>${symbol}</span>`;
}

// Texts and times

const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Make control characters visible, such as those that colour a terminal or turn a line around. */
export const visible = (text) => text.replace(/\r\n/g, "\n").replace(CONTROLS, (each) => {
  const code = each.codePointAt(0);
  if (code < 32) return String.fromCharCode(0x2400 + code);
  return `\u2039U+${code.toString(16).toUpperCase().padStart(4, "0")}\u203a`;
});

export function span(milliseconds) {
  const seconds = Math.max(milliseconds, 0) / 1000;
  if (seconds < 1) return `${Math.round(milliseconds)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  const [size, unit] = units[first];
  const [next, smaller] = units[first + 1];
  const rest = Math.floor((seconds % size) / next);
  return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${smaller}` : ""}`;
}

export const moment = (text) => (text ? Date.parse(text) : null);

export function Ago({ time }) {
  useTick(10_000);
  if (!time) return html`<span class="muted">–</span>`;
  const past = Date.now() - moment(time);
  const words = past < 5000 && past > -5000 ? "now" : past > 0 ? `${span(past)} ago` : `in ${span(-past)}`;
  return html`<time datetime=${time} title=${new Date(time).toLocaleString()}>${words}</time>`;
}

/** Renders again every so many milliseconds; 0 stops it. */
export function useTick(every) {
  const [, set] = useState(0);
  useEffect(() => {
    if (!every) return undefined;
    const timer = setInterval(() => set((count) => count + 1), every);
    return () => clearInterval(timer);
  }, [every]);
}

// The address

function parse() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export function useAddress() {
  const [address, set] = useState(parse);
  useEffect(() => {
    const changed = () => set(parse());
    addEventListener("hashchange", changed);
    changed(); // it may have changed since the first rendering
    return () => removeEventListener("hashchange", changed);
  }, []);
  return address;
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

// Messages

export function Empty({ title, children }) {
  return html`<div class="empty"><p class="title">${title}</p><p>${children}</p></div>`;
}

export function Problem({ error, again }) {
  if (!error) return null;
  return html`<div class="problem" role="alert"><span class="symbol fail" aria-hidden="true">✕</span>
    <p>${error.message}${error.code && html` <code>${error.code}</code>`}</p>
    ${again && html`<button onClick=${again}>Try again</button>`}</div>`;
}

export function Loading() {
  return html`<div class="loading" role="status"><span class="visually-hidden">Loading</span></div>`;
}

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
  const short = value.length > 18 ? `${value.slice(0, 13)}…` : value;
  return html`<button class="uuid" title="Copy ${value}" onClick=${copy}>${short}</button>`;
}

/** A modal dialog. `onSend` may throw; its error is shown in the dialog. */
export function Dialog({ title, children, action, danger, onSend, onClose }) {
  const ref = useRef();
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => {
    if (!ref.current.open) ref.current.showModal();
  }, []);
  const send = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await onSend();
      onClose();
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return html`<dialog ref=${ref} onClose=${onClose} aria-labelledby="dialog-title">
    <form onSubmit=${send}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
      <${Problem} error=${error} />
      <div class="actions"><button type="button" onClick=${onClose}>Back</button>
        <button class=${danger ? "danger" : "primary"} disabled=${busy}>${action}</button></div>
    </form></dialog>`;
}

export function Tabs({ label, tabs, current, onChoose }) {
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const names = tabs.map(([name]) => name);
    const next = (names.indexOf(current) + step + names.length) % names.length;
    onChoose(names[next]);
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

/** A value that changes at most once in so many milliseconds. */
export function useCalm(value, every) {
  const [shown, set] = useState(value);
  const held = useRef({});
  useEffect(() => {
    held.current.value = value;
    held.current.timer ??= setTimeout(() => {
      held.current.timer = undefined;
      set(held.current.value);
    }, every);
  }, [value]);
  useEffect(() => () => clearTimeout(held.current.timer), []);
  return shown;
}

/** Loads once and whenever `keys` change; answers [value, error, load again]. */
export function useLoaded(load, keys) {
  const [found, set] = useState([null, null]);
  const [count, setCount] = useState(0);
  useEffect(() => {
    let current = true;
    load().then(
      (value) => current && set([value, null]),
      (error) => current && set(([value]) => [value, error]),
    );
    return () => { current = false; };
  }, [...keys, count]);
  const again = useCallback(() => setCount((number) => number + 1), []);
  return [...found, again];
}
