// Show texts of agents and people: JSON, Markdown, or plain, never as HTML.
import { useMemo, useState } from "./vendor.js";
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

// Markdown: it becomes elements of this list and no others, and never HTML. One pass over the lines.

const LONGEST = 4000; // characters of a paragraph whose signs are read
const DEEPEST = 8; // quotes and lists within each other
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const FENCE = /^ {0,3}(```+|~~~+)/;
const BREAK = /^ {0,3}([-*_])( *\1){2,} *$/;
const HEADING = /^ {0,3}(#{1,6}) +(.*?)[ #]*$/;
const ROW = /^\s*\|.*\|\s*$/;
const RULE = /^\s*\|(\s*:?-+:?\s*\|)+\s*$/;
const INLINE = /\\([!-/:-@[-`{-~])|(`+)(.+?)\2|\*\*(.+?)\*\*|__(.+?)__|~~(.+?)~~|\*([^\s*][^*]*)\*|\b_([^\s_][^_]*)_\b|(!?)\[([^\]]*)\]\(([^\s()]*)[^()]*\)|(https?:\/\/[^\s<>"')\]]+)/gs;

function link(address, words) {
  if (!/^(https?:|mailto:)/i.test(address)) return html`<span title=${visible(address)}>${words}</span>`;
  return html`<a href=${address} title=${visible(address)} target="_blank" rel="noopener noreferrer nofollow">${words}</a>`;
}

function inline(text) {
  if (text.length > LONGEST) return visible(text);
  const parts = [];
  let last = 0;
  for (const found of text.matchAll(INLINE)) {
    const [all, escaped, , code, strong, bold, gone, em, slanted, image, words, address, bare] = found;
    parts.push(visible(text.slice(last, found.index)));
    last = found.index + all.length;
    if (escaped) parts.push(escaped);
    else if (code) parts.push(html`<code>${visible(code)}</code>`);
    else if (strong || bold) parts.push(html`<strong>${inline(strong || bold)}</strong>`);
    else if (gone) parts.push(html`<del>${inline(gone)}</del>`);
    else if (em || slanted) parts.push(html`<em>${inline(em || slanted)}</em>`);
    else if (bare) parts.push(link(bare, visible(bare)));
    else parts.push(link(address, image ? ["🖼 ", visible(words || address)] : inline(words)));
  }
  return [...parts, visible(text.slice(last))];
}

const cells = (line) => line.trim().slice(1, -1).split("|").map((each) => inline(each.trim()));

/** The lines from `start` on that belong to a block, and where the next one begins. */
function taken(lines, start, belongs) {
  let end = start;
  while (end < lines.length && belongs(lines[end], end)) end += 1;
  return [lines.slice(start, end), end];
}

function list(lines, depth) {
  const items = [];
  const [, indent, sign] = ITEM.exec(lines[0]);
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length <= indent.length + 1) items.push([item[3]]);
    else items.at(-1).push(line.slice(Math.min(/^\s*/.exec(line)[0].length, indent.length + 2)));
  }
  const ordered = /\d/.test(sign);
  return html`<${ordered ? "ol" : "ul"} start=${ordered ? Number.parseInt(sign, 10) : undefined}>
    ${items.map((each) => html`<li>${blocks(each, depth + 1)}</li>`)}<//>`;
}

function blocks(lines, depth = 0) {
  const found = [];
  const isBlock = (line) => [FENCE, BREAK, HEADING, ITEM].some((each) => each.test(line)) || line.startsWith(">");
  for (let at = 0; at < lines.length;) {
    const line = lines[at];
    const fence = FENCE.exec(line)?.[1];
    const heading = HEADING.exec(line);
    let inner;
    if (!line.trim()) at += 1;
    else if (fence) {
      [inner, at] = taken(lines, at + 1, (each) => !each.trimStart().startsWith(fence));
      found.push(html`<pre tabindex="0"><code>${visible(inner.join("\n"))}</code></pre>`);
      at += 1;
    } else if (heading) {
      found.push(html`<p class="heading" role="heading" aria-level=${Math.min(heading[1].length + 3, 6)}>${inline(heading[2])}</p>`);
      at += 1;
    } else if (BREAK.test(line)) {
      found.push(html`<hr />`);
      at += 1;
    } else if (line.startsWith(">") && depth < DEEPEST) {
      [inner, at] = taken(lines, at, (each) => each.startsWith(">"));
      found.push(html`<blockquote>${blocks(inner.map((each) => each.slice(1).trimStart()), depth + 1)}</blockquote>`);
    } else if (ITEM.test(line) && depth < DEEPEST) {
      [inner, at] = taken(lines, at, (each) => ITEM.test(each) || /^\s+\S/.test(each));
      found.push(list(inner, depth));
    } else if (ROW.test(line) && RULE.test(lines[at + 1] ?? "")) {
      [inner, at] = taken(lines, at + 2, (each) => ROW.test(each));
      found.push(html`<div class="scroll" tabindex="0"><table><thead><tr>${cells(line).map((each) => html`<th>${each}</th>`)}</tr></thead>
        <tbody>${inner.map((row) => html`<tr>${cells(row).map((each) => html`<td>${each}</td>`)}</tr>`)}</tbody></table></div>`);
    } else {
      [inner, at] = taken(lines, at, (each, place) => each.trim() && (place === at || !isBlock(each)));
      found.push(html`<p class="text">${inline(inner.join("\n"))}</p>`);
    }
  }
  return found;
}

export const Markdown = ({ text }) => html`<div class="markdown">${blocks(text.split(/\r?\n/))}</div>`;
