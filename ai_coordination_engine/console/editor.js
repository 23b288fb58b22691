// A run file: it is checked while it is written, drawn, and run.
import { useEffect, useMemo, useRef, useState } from "./vendor.js";
import { ask, beside, failure, post } from "./client.js";
import { Graph, graphOf } from "./session.js";
import { Empty, Problem, Symbol, html, newUuid, plural, say, to, useCalm, useLoaded, useSending } from "./ui.js";

const DRAFT = "ace-draft";
const example = await fetch("/console/example.yaml").then((found) => found.text());

/** The dry run as a graph: each agent of the run file is one node. */
function drawn({ run, plan }) {
  const names = new Map(run.agents.map((each) => [each.agent_uuid, each.agent_name ?? each.agent_uuid]));
  const edges = Object.entries(run.agentActions).flatMap(([uuid, action]) => (action.predecessors ?? []).map((before) => (
    { before, sessionAgentUuid: uuid, condition: action.conditions?.[before] ?? null, outcome: null })));
  const successors = Map.groupBy(edges, (edge) => edge.before);
  const uuids = [...new Set(plan.layers.flat())];
  return graphOf(uuids.map((uuid) => ({
    sessionAgentUuid: uuid, agentUuid: uuid, agentName: names.get(uuid), agentAction: run.agentActions[uuid] ?? {},
    state: "initial", successors: successors.get(uuid) ?? [],
  })));
}

export function Editor() {
  const [text, setText] = useState(() => sessionStorage.getItem(DRAFT) ?? example);
  const calm = useCalm(text, 350);
  const [checked, error] = useLoaded(async () => {
    const { errors, ...found } = await post(beside("run-file"), { text: calm });
    if (errors) throw failure(errors);
    return { text: calm, ...found };
  }, [calm]);
  const area = useRef();
  useEffect(() => sessionStorage.setItem(DRAFT, text), [text]);
  const [start, busy, refused] = useSending(async () => {
    const { run } = checked;
    await ask("SaveCoordination", run);
    await ask("SaveTask", { ...run, onFailure: run.onFailure ?? "fail_fast", placeholders: run.placeholders ?? "warn" });
    const data = await ask("Start", { ...run, sessionUuid: newUuid() });
    say("The session has started.");
    location.hash = to("session", run.coordinationUuid, data.executeProcedureTaskSession.procedureTaskSession.sessionUuid);
  });
  const go = ({ line, column }) => {
    const lines = text.split("\n");
    const at = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
    area.current.focus();
    area.current.setSelectionRange(at, at + Math.max((lines[line - 1] ?? "").length - column + 1, 0));
    area.current.scrollTop = Math.max(line - 6, 0) * (area.current.scrollHeight / lines.length);
  };
  const problems = checked?.problems ?? [];
  const current = checked?.text === text;
  const ready = current && checked.run && !busy;
  const graph = useMemo(() => checked?.run && drawn(checked), [checked]);
  return html`<main><div class="head"><h1>Run file</h1><div class="actions">
      <button onClick=${() => setText(example)}>Example</button>
      <button class="primary" disabled=${!ready} onClick=${start}>Run</button></div></div>
    <${Problem} error=${error ?? refused} />
    <div class="split halves">
      <div class="stage"><${Source} area=${area} text=${text} problems=${current ? problems : []} onInput=${setText} />
        <p class="line muted" role="status">${!current ? "Checking…" : problems.some((each) => each.kind === "error")
          ? plural(problems.length, "problem") : problems.length ? `Valid, with ${problems.length} to look at` : "Valid"}</p>
        <ol class="problems">${problems.slice(0, 100).map((each) => html`<li><button onClick=${() => go(each)}>
          <${Symbol} state=${each.kind === "error" ? "failed" : "wait_for_user_input"} /><code>${each.line}:${each.column}</code>
          <span>${each.message}</span></button></li>`)}</ol></div>
      <div class="stage">${graph ? html`<${DryRun} plan=${checked.plan} graph=${graph} />`
        : html`<${Empty} title="What a run would do appears here">as soon as the file is valid.<//>`}</div>
    </div></main>`;
}

function DryRun({ plan, graph }) {
  const calls = Object.entries(plan.agentCalls);
  const unknown = calls.some(([, count]) => count === null);
  const sum = calls.reduce((total, [, count]) => total + (count ?? 0), 0);
  return html`<${Graph} graph=${graph} onSelect=${() => {}} />
    <p class="line muted"><span>${plan.layers.length} layers</span><span>at most ${plan.width} at once</span>
      <span>${sum} calls${unknown && ", and one for each element of a map"}</span>
      <span>longest chain: ${plan.criticalPath.map((each) => graph.names.get(each) ?? each).join(" → ")}</span></p>`;
}

function Source({ area, text, problems, onInput }) {
  const numbers = useRef();
  const marked = new Map(problems.map((each) => [each.line, each.kind === "error" ? "fail" : "ask"]).reverse());
  const key = (event) => {
    if (event.key === "Escape") event.target.blur(); // the next Tab goes on from here
    if (event.key !== "Tab" || event.shiftKey) return;
    event.preventDefault();
    event.target.setRangeText("  ", event.target.selectionStart, event.target.selectionEnd, "end");
    onInput(event.target.value);
  };
  const count = Math.min(text.split("\n").length, 20_000);
  return html`<div class="source"><pre class="numbers" ref=${numbers} aria-hidden="true">${Array.from({ length: count }, (_, index) => html`
      <span class=${marked.get(index + 1) ?? ""}>${index + 1}${"\n"}</span>`)}</pre>
    <textarea ref=${area} value=${text} spellcheck=${false} wrap="off" aria-label="Run file in YAML; Escape, then Tab leaves it"
      onInput=${(event) => onInput(event.target.value)} onKeyDown=${key}
      onScroll=${(event) => { numbers.current.scrollTop = event.target.scrollTop; }} /></div>`;
}
