// A box for GraphQL, beside the documentation that the schema has.
import { useMemo, useState } from "./vendor.js";
import { ask, endpoint, post } from "./client.js";
import { Json, parsed } from "./text.js";
import { Area, Missing, Problem, Search, html, useLoaded, useSending } from "./ui.js";

const EXAMPLE = "{\n  sessionList(limit: 5) { sessionList { sessionUuid status taskQuery } }\n}";
const MOST = 60; // entries of the documentation

const written = (type) => (type.kind === "NON_NULL" ? `${written(type.ofType)}!`
  : type.kind === "LIST" ? `[${written(type.ofType)}]` : type.name);
const bare = (type) => (type.ofType ? bare(type.ofType) : type.name);

export function Query() {
  const [text, setText] = useState(() => sessionStorage.getItem("ace-query") ?? EXAMPLE);
  const [variables, setVariables] = useState("{}");
  const [answer, setAnswer] = useState(null);
  const [run, busy, error] = useSending(async () => {
    sessionStorage.setItem("ace-query", text);
    const given = parsed(variables || "{}");
    if (given === undefined) throw new Error("The variables are not valid JSON.");
    setAnswer(JSON.stringify(await post(endpoint, { query: text, variables: given })));
  });
  const key = (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey) && run();
  return html`<main><h1>Query</h1><div class="split"><div class="stage">
      <${Area} label="Query" class="source" rows="14" spellcheck=${false} value=${text} onKeyDown=${key} onChange=${setText} />
      <${Area} label="Variables (JSON)" class="source" rows="3" spellcheck=${false} value=${variables} onKeyDown=${key} onChange=${setVariables} />
      <div class="actions"><button class="primary" disabled=${busy} onClick=${run}>Send <kbd>Ctrl ⏎</kbd></button>
        <span class="muted">to <code>${endpoint}</code>; mutations take effect.</span></div>
      <${Problem} error=${error} />
      ${answer && html`<${Json} text=${answer} />`}
    </div><${Documentation} /></div></main>`;
}

function Documentation() {
  const [found, error, again] = useLoaded(() => ask("Schema"), []);
  const [search, setSearch] = useState("");
  const roots = ["Query", "Mutation", "Subscription"];
  const words = search.trim().toLowerCase();
  const entries = useMemo(() => (found?.__schema.types ?? []).filter((each) => !each.name.startsWith("__")).flatMap((type) => [
    { type, name: type.name, text: type.description },
    ...(type.fields ?? []).map((field) => ({ type, field, name: `${type.name}.${field.name}`, text: field.description })),
  ]), [found]);
  const matching = entries.filter(({ type, field, name }) => (words
    ? name.toLowerCase().includes(words) : roots.includes(type.name) && field));
  return html`<aside class="panel" aria-label="Documentation of the schema"><h2>Schema</h2>
    <${Search} label="Search" value=${search} onChange=${setSearch} placeholder="session, SessionAgentType.state …" />
    <${Missing} value=${found} error=${error} again=${again} />
    <div class="types">${matching.slice(0, MOST).map(({ type, field, name, text }) => html`<details key=${name}>
      <summary><code>${roots.includes(type.name) && field ? field.name : name}</code>
        ${field && html`: <code class="muted">${written(field.type)}</code>`}</summary>
      <p>${text}${field && html` <button class="link" onClick=${() => setSearch(`${bare(field.type)}.`)}>Fields of ${bare(field.type)}</button>`}</p>${field?.args.length > 0 && html`<dl class="facts">${field.args.map((each) => html`
        <dt><code>${each.name}: ${written(each.type)}</code></dt><dd>${each.description}</dd>`)}</dl>`}</details>`)}
      ${found && !matching.length && html`<p class="muted">Nothing has that name.</p>`}
      ${matching.length > MOST && html`<p class="muted">And ${matching.length - MOST} more: search for a name.</p>`}</div></aside>`;
}
