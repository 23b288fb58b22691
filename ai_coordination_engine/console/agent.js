// The selected agent: why it does not run, what it got and gave, its attempts; or the session.
import { useEffect, useState } from "./vendor.js";
import { ask, watch } from "./client.js";
import { Fork, Rerun } from "./controls.js";
import { Grid, elementName } from "./graph.js";
import { Answer } from "./inbox.js";
import { Output } from "./text.js";
import { Ago, Badge, FINAL, Loading, Problem, Uuid, html, moment, span, useLoaded, useTick, visible } from "./ui.js";

const RUNS = 10; // shown at first
const RESULTS = 4;

export function AgentPanel({ session, graph, agent, onSelect, onClose, onChanged }) {
  const { sessionAgentUuid: a, state, attempt } = agent;
  const [forking, setForking] = useState(false);
  const open = !FINAL.has(state);
  const [slow, setSlow] = useState(0); // a reason may change though the agent does not
  useEffect(() => {
    if (!open) return undefined;
    const timer = setInterval(() => setSlow((count) => count + 1), 3000);
    return () => clearInterval(timer);
  }, [a, open]);
  const [found, error, again] = useLoaded(
    () => ask("Agent", { s: session.sessionUuid, a }).then((data) => ({ a, ...data.sessionAgent })),
    [a, state, attempt, agent.endedAt, agent.inDegree, session.status, slow],
  );
  const detail = found?.a === a ? found : null;
  const elements = graph.elements.get(a);
  const name = graph.names.get(a) ?? elementName(graph, agent);
  return html`<aside class="panel" aria-label="Agent ${name}">
    <header><h2>${name}</h2><button class="close" aria-label="Close" onClick=${onClose}>×</button></header>
    <p class="line"><${Badge} state=${state} /> ${attempt > 0 && html`<span class="muted">attempt ${attempt}</span>`}
      <${Elapsed} agent=${agent} /></p>
    <${Problem} error=${error} again=${again} />
    ${!detail && !error && html`<${Loading} />`}
    ${detail && html`
      <${Why} why=${detail.whyNotRunning} state=${state} onSelect=${onSelect} />
      ${state === "wait_for_user_input" && html`<${Answer} agent=${{ ...agent, ...detail, sessionUuid: session.sessionUuid }}
        onDone=${onChanged} />`}
      ${detail.notes && !detail.whyNotRunning?.message.includes(detail.notes) && html`<${Section} title=${state === "failed" ? "Why it failed" : "Notes"}>
        <pre class="plain ${state === "failed" ? "wrong" : ""}" tabindex="0">${visible(detail.notes)}</pre><//>`}
      ${elements && html`<${Section} title="Elements (${elements.length})">
        <${Grid} graph=${graph} agents=${elements} onSelect=${onSelect} /><//>`}
      ${detail.agentOutput !== null ? html`<${Section} title="Output"><${Output} key=${a} text=${detail.agentOutput} label="output" /><//>`
        : state === "executing" && html`<${Written} key=${a + attempt} session=${session} agent=${a} />`}
      ${detail.userInput !== null && html`<${Section} title="Answer"><${Output} text=${detail.userInput} label="answer" /><//>`}
      ${detail.agentInput !== null && html`<${Section} title="Input"><${Output} key=${a} text=${detail.agentInput} label="input" /><//>`}
      <${Attempts} runs=${detail.sessionRuns ?? []} />`}
    <details><summary>How it runs</summary><${Output} text=${JSON.stringify(agent.agentAction ?? {})} label="action" /></details>
    <dl class="facts"><dt>Agent</dt><dd>${agent.agentUuid}</dd><dt>Session agent</dt><dd><${Uuid} value=${a} /></dd></dl>
    <div class="actions"><${Rerun} session=${session} graph=${graph} agent=${agent} onDone=${onChanged} />
      ${!agent.mapSessionAgentUuid && html`<button onClick=${() => setForking(true)}>Fork from here</button>`}</div>
    ${forking && html`<${Fork} session=${session} graph=${graph} agent=${agent} onClose=${() => setForking(false)} />`}
  </aside>`;
}

function Section({ title, children }) {
  return html`<section><h3>${title}</h3>${children}</section>`;
}

function Elapsed({ agent: { startedAt, endedAt, state } }) {
  useTick(state === "executing" ? 1000 : 0);
  if (!startedAt) return null;
  const end = endedAt ? moment(endedAt) : state === "executing" ? Date.now() : null;
  return end && html`<span class="muted">${span(end - moment(startedAt))}</span>`;
}

const RUNS_OR_ENDED = new Set(["completed"]);

function Why({ why, state, onSelect }) {
  if (!why || RUNS_OR_ENDED.has(state)) return null;
  return html`<section class="why"><h3>${FINAL.has(state) ? "How it ended" : "Why it is here"}</h3>
    <p>${visible(why.message)}${why.until && html` <span class="muted">Until <${Ago} time=${why.until} /></span>`}</p>
    ${why.waitsFor?.length > 0 && html`<p class="line">${why.waitsFor.map((each) => html`
      <button onClick=${() => onSelect(each.sessionAgentUuid)}><${Badge} state=${each.state}
        label=${each.agentName ?? each.agentUuid} /></button>`)}</p>`}
    <code>${why.code}</code></section>`;
}

/** What the model writes, while it writes it. */
function Written({ session, agent }) {
  const [text, set] = useState("");
  useEffect(() => watch("Written", { s: session.sessionUuid, a: agent },
    { next: ({ agentOutput }) => set((last) => (last + (agentOutput?.delta ?? "")).slice(-20_000)), fail: () => {}, streams: true },
  ), [agent]);
  if (!text) return null;
  return html`<${Section} title="Output, being written"><pre class="plain" tabindex="0">${visible(text)}</pre><//>`;
}

const tokens = (run) => {
  const parts = [[run.inputTokens, "in"], [run.outputTokens, "out"]].filter(([count]) => count !== null);
  return parts.map(([count, word]) => `${count.toLocaleString()} ${word}`).join(" · ");
};

function Attempts({ runs }) {
  const [all, setAll] = useState(false);
  if (!runs.length) return null;
  const shown = all ? runs.slice(-200) : runs.slice(-RUNS);
  return html`<${Section} title="Attempts (${runs.length})"><ol class="attempts">
    ${shown.toReversed().map((run) => html`<li key=${run.runUuid}>
      <p class="line"><${Badge} state=${run.status ?? "completed"} /><strong>Attempt ${run.attempt ?? "?"}</strong>
        ${run.startedAt && html`<span class="muted"><${Ago} time=${run.startedAt} />
          ${run.endedAt && html` · ${span(moment(run.endedAt) - moment(run.startedAt))}`}</span>`}</p>
      ${run.error && html`<pre class="plain wrong" tabindex="0">${visible(run.error)}</pre>`}
      <p class="line muted">${run.errorClass && html`<code>${run.errorClass}</code>`}
        ${run.model && html`<span>${visible(run.model)}</span>`}
        ${tokens(run) && html`<span>${tokens(run)} tokens</span>`}
        ${run.threadUuid && html`<span>thread <${Uuid} value=${run.threadUuid} /></span>`}</p></li>`)}
    </ol>${shown.length < runs.length && !all && html`<button onClick=${() => setAll(true)}>Show more</button>`}<//>`;
}

/** The session itself: what it was asked, and what came of it. */
export function SessionPanel({ session, graph, onSelect }) {
  const from = new Set(graph.edges.map((edge) => edge.from));
  const results = graph.nodes.filter((each) => !from.has(each.sessionAgentUuid) && each.state === "completed");
  return html`<aside class="panel" aria-label="Session">
    ${session.logs && html`<${Section} title=${session.status === "failed" ? "Why it failed" : "Log"}>
      <pre class="plain ${session.status === "failed" ? "wrong" : ""}" tabindex="0">${visible(session.logs)}</pre><//>`}
    ${results.slice(0, RESULTS).map((each) => html`<${Result} key=${each.sessionAgentUuid} agent=${each}
      session=${session} name=${graph.names.get(each.sessionAgentUuid)} onSelect=${onSelect} />`)}
    ${results.length > RESULTS && html`<p class="muted">And ${results.length - RESULTS} more final agents.</p>`}
    ${session.taskQuery && html`<${Section} title="Query"><${Output} text=${session.taskQuery} label="query" /><//>`}
    <dl class="facts"><dt>Session</dt><dd><${Uuid} value=${session.sessionUuid} /></dd>
      <dt>Coordination</dt><dd><${Uuid} value=${session.coordinationUuid} /></dd>
      ${session.userId && html`<dt>User</dt><dd>${session.userId}</dd>`}
      <dt>Created</dt><dd><${Ago} time=${session.createdAt} /></dd>
      <dt>Changed</dt><dd><${Ago} time=${session.updatedAt} /> by ${session.updatedBy ?? "–"}</dd></dl>
    <p class="muted">Choose an agent to see its input, output and attempts.</p></aside>`;
}

function Result({ session, agent, name, onSelect }) {
  const [found, error] = useLoaded(
    () => ask("Output", { s: session.sessionUuid, a: agent.sessionAgentUuid }), [agent.sessionAgentUuid, agent.endedAt],
  );
  return html`<section><h3>Result of <button class="link" onClick=${() => onSelect(agent.sessionAgentUuid)}>${name}</button></h3>
    <${Problem} error=${error} />
    ${found && html`<${Output} text=${found.sessionAgent?.agentOutput ?? ""} label="result" />`}</section>`;
}
