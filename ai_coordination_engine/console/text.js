// Show texts of agents and people: JSON, Markdown, or plain, never as HTML.
import { useMemo, useState } from "./vendor.js";
import { Markdown } from "./markdown.js";
import { Tabs, html, tried, visible } from "./ui.js";

const SHOWN = 100_000; // characters; the rest is a click away
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;

/** The value of a JSON text; undefined when it is not one. */
export const parsed = (text) => tried(() => JSON.parse(text));

/** Indented JSON whose numbers keep their digits, as elements. */
export function Json({ text }) {
  return useMemo(() => {
    const tokens = text.match(TOKENS) ?? [];
    let depth = 0;
    const line = () => `\n${"  ".repeat(depth)}`;
    const parts = tokens.map((token, index) => {
      const next = tokens[index + 1];
      depth += { "{": 1, "[": 1, "}": -1, "]": -1 }[token] ?? 0;
      if (/^[{[]$/.test(token)) return token + (/^[}\]]$/.test(next) ? "" : line());
      if (/^[}\]]$/.test(token)) return (/^[{[]$/.test(tokens[index - 1]) ? "" : line()) + token;
      if (token === ",") return token + line();
      return token === ":" ? ": " : html`<span class=${kind(token, next)}>${visible(token)}</span>`;
    });
    return html`<pre class="json" tabindex="0">${parts}</pre>`;
  }, [text]);
}

const kind = (token, next) => ({ '"': next === ":" ? "key" : "string", t: "word", f: "word", n: "word" }[token[0]] ?? "number");

const VIEWS = [["markdown", "Formatted"], ["plain", "Plain"]];

/** A text with a choice of how to show it; JSON is recognised. */
export function Output({ text, label }) {
  const [view, setView] = useState("markdown");
  const [whole, setWhole] = useState(false);
  const json = useMemo(() => /^\s*[{[]/.test(text) && parsed(text) !== undefined, [text]);
  const shown = whole ? text : text.slice(0, SHOWN);
  if (!text) return html`<p class="muted">It is empty.</p>`;
  return html`<div class="output">
    <${Tabs} label="Show ${label} as" tabs=${VIEWS} current=${view} onChoose=${setView} />
    ${view === "plain" ? html`<pre class="plain" tabindex="0">${visible(shown)}</pre>`
      : json && shown === text ? html`<${Json} text=${text} />` : html`<${Markdown} text=${shown} />`}
    ${shown !== text && html`<button onClick=${() => setWhole(true)}>
      Show all ${text.length.toLocaleString()} characters</button>`}
  </div>`;
}
