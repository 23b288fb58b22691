// Show texts of agents and people: JSON, Markdown, or plain, never as HTML.
import { useMemo, useState } from "./vendor.js";
import { Markdown } from "./markdown.js";
import { Tabs, html, visible } from "./ui.js";

const SHOWN = 100_000; // characters; the rest is a click away
const TOKENS = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;

export function isJson(text) {
  if (!/^\s*[{[]/.test(text)) return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** Indented JSON whose numbers keep their digits, as elements. */
export function Json({ text }) {
  return useMemo(() => {
    const parts = [];
    const tokens = text.match(TOKENS) ?? [];
    let depth = 0;
    const line = () => `\n${"  ".repeat(depth)}`;
    tokens.forEach((token, index) => {
      const next = tokens[index + 1];
      if (token === "{" || token === "[") {
        depth += 1;
        parts.push(token, /[}\]]/.test(next) ? "" : line());
      } else if (token === "}" || token === "]") {
        depth -= 1;
        parts.push(/[{[]/.test(tokens[index - 1]) ? "" : line(), token);
      } else if (token === ",") parts.push(",", line());
      else if (token === ":") parts.push(": ");
      else parts.push(html`<span class=${kind(token, next)}>${visible(token)}</span>`);
    });
    return html`<pre class="json" tabindex="0">${parts}</pre>`;
  }, [text]);
}

function kind(token, next) {
  if (token.startsWith('"')) return next === ":" ? "key" : "string";
  return /^[tfn]/.test(token) ? "word" : "number";
}

const VIEWS = [["markdown", "Formatted"], ["plain", "Plain"]];

/** A text with a choice of how to show it; JSON is recognised. */
export function Output({ text, label }) {
  const [view, setView] = useState("markdown");
  const [whole, setWhole] = useState(false);
  const json = useMemo(() => isJson(text), [text]);
  const shown = whole ? text : text.slice(0, SHOWN);
  const formatted = json && shown === text
    ? html`<${Json} text=${text} />` : html`<${Markdown} text=${shown} />`;
  if (!text) return html`<p class="muted">It is empty.</p>`;
  return html`<div class="output">
    <${Tabs} label="Show ${label} as" tabs=${VIEWS} current=${view} onChoose=${setView} />
    ${view === "plain" ? html`<pre class="plain" tabindex="0">${visible(shown)}</pre>` : formatted}
    ${shown !== text && html`<button onClick=${() => setWhole(true)}>
      Show all ${text.length.toLocaleString()} characters</button>`}
  </div>`;
}
