// The selected agent: why it does not run, what it got and gave, its attempts; or the session.
import { useEffect, useState } from "./vendor.js";
import { ask, watch } from "./client.js";
import { Fork, Rerun } from "./controls.js";
import { Grid } from "./session.js";
import { Answer } from "./inbox.js";
import { Output } from "./text.js";
import { Ago, Badge, FINAL, Missing, Opens, Problem, Took, Uuid, html, plural, useCalm, useLoaded, usePages, useTick, visible } from "./ui.js";

const RUNS = 10; // on a page
const RESULTS = 4;

export function AgentPanel({ session, graph, agent, onSelect, onClose, onChanged }) {
  const { sessionAgentUuid: a, state, attempt } = agent;
  const slow = useTick(FINAL.has(state) ? 0 : 3000); // a reason may change though the agent does not
  const [found, error, again] = useLoaded(
    () => ask("Agent", { s: session.sessionUuid, a }),
    [a, state, attempt, agent.endedAt, agent.inDegree, session.status, slow],
  );
  const detail = found?.sessionAgent;
  const elements = graph.elements.get(a);
  const name = graph.names.get(a);
  return html`<aside class="panel" aria-label="Agent ${name}">
    <header><h2>${name}</h2><button class="close" aria-label="Close" onClick=${onClose}>×</button></header>
    <p class="line"><${Badge} state=${state} /> ${attempt > 0 && html`<span class="muted">attempt ${attempt}</span>`}
      ${agent.startedAt && (agent.endedAt || state === "executing")
        && html`<span class="muted"><${Took} since=${agent.startedAt} until=${agent.endedAt} /></span>`}</p>
    <${Missing} value=${found} error=${error} again=${again} />
    ${detail && html`
      <${Why} why=${detail.whyNotRunning} state=${state} onSelect=${onSelect} />
      ${state === "wait_for_user_input" && html`<${Answer} agent=${{ ...agent, ...detail, sessionUuid: session.sessionUuid }} onDone=${onChanged} />`}
      ${detail.notes && !detail.whyNotRunning?.message.includes(detail.notes) && html`<${Section} title=${state === "failed" ? "Why it failed" : "Notes"}>
        <${Plain} text=${detail.notes} wrong=${state === "failed"} /><//>`}
      ${elements && html`<${Section} title="Elements (${elements.length})"><${Grid} graph=${graph} agents=${elements} onSelect=${onSelect} /><//>`}
      ${detail.agentOutput !== null ? html`<${Shown} title="Output" text=${detail.agentOutput} />`
        : state === "executing" && html`<${Written} key=${a + attempt} session=${session} agent=${a} />`}
      ${detail.userInput !== null && html`<${Shown} title="Answer" text=${detail.userInput} />`}
      ${detail.agentInput !== null && html`<${Shown} title="Input" text=${detail.agentInput} />`}
      <${Attempts} runs=${detail.sessionRuns ?? []} />`}
    <details><summary>How it runs</summary><${Output} text=${JSON.stringify(agent.agentAction ?? {})} label="action" /></details>
    <dl class="facts"><dt>Agent</dt><dd>${agent.agentUuid}</dd><dt>Session agent</dt><dd><${Uuid} value=${a} /></dd></dl>
    ${!agent.mapSessionAgentUuid && html`<div class="actions">
      ${FINAL.has(session.status) && html`<${Opens} words="Rerun from here" dialog=${Rerun} session=${session} graph=${graph} agent=${agent} onDone=${onChanged} />`}
      <${Opens} words="Fork from here" dialog=${Fork} session=${session} graph=${graph} agent=${agent} /></div>`}
  </aside>`;
}

const Section = ({ title, children }) => html`<section><h3>${title}</h3>${children}</section>`;
const Shown = ({ title, text }) => html`<${Section} title=${title}><${Output} text=${text} label=${title.toLowerCase()} /><//>`;
const Plain = ({ text, wrong }) => html`<pre class="plain ${wrong ? "wrong" : ""}" tabindex="0">${visible(text)}</pre>`;

function Why({ why, state, onSelect }) {
  if (!why || state === "completed") return null;
  return html`<section class="why"><h3>${FINAL.has(state) ? "How it ended" : "Why it is here"}</h3>
    <p>${visible(why.message)}${why.until && html` <span class="muted">Due <${Ago} time=${why.until} /></span>`}</p>
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
  return html`<${Section} title="Output, being written"><${Plain} text=${text} /><//>`;
}

const tokens = (run) => [[run.inputTokens, "in"], [run.outputTokens, "out"]].filter(([count]) => count !== null)
  .map(([count, word]) => `${count.toLocaleString()} ${word}`).join(" · ");

const money = (micro) => micro != null && html`<span>$${(micro / 1e6).toFixed(micro < 10_000 ? 6 : 2)}</span>`;

function Attempts({ runs }) {
  const [shown, pages] = usePages(runs.toReversed(), RUNS);
  if (!runs.length) return null;
  return html`<${Section} title="Attempts (${runs.length})"><ol class="attempts">
    ${shown.map((run) => html`<li key=${run.runUuid}>
      <p class="line"><${Badge} state=${run.status ?? "completed"} /><strong>Attempt ${run.attempt ?? "?"}</strong>
        ${run.startedAt && html`<span class="muted"><${Ago} time=${run.startedAt} />
          ${run.endedAt && html` · <${Took} since=${run.startedAt} until=${run.endedAt} />`}</span>`}</p>
      ${run.error && html`<${Plain} text=${run.error} wrong />`}
      <p class="line muted">${run.errorClass && html`<code>${run.errorClass}</code>`}
        ${run.model && html`<span>${visible(run.model)}</span>`}
        ${tokens(run) && html`<span>${tokens(run)} tokens</span>`} ${money(run.costMicroUsd)}
        ${run.threadUuid && html`<span>thread <${Uuid} value=${run.threadUuid} /></span>`}</p>
      ${run.toolCalls?.length > 0 && html`<details><summary>${plural(run.toolCalls.length, "tool call")}:
        ${visible(run.toolCalls.map((each) => each.name).join(", "))}</summary><${Output} text=${JSON.stringify(run.toolCalls)} label="calls" /></details>`}</li>`)}
    </ol>${pages}<//>`;
}

/** The session itself: what it was asked, and what came of it. */
export function SessionPanel({ session, graph, onSelect }) {
  const [found] = useLoaded(() => ask("Cost", { c: session.coordinationUuid, s: session.sessionUuid }), [useCalm(graph, 2000)]);
  const cost = found?.session?.cost;
  const from = new Set(graph.edges.map((edge) => edge.from));
  const results = graph.nodes.filter((each) => !from.has(each.sessionAgentUuid) && each.state === "completed");
  return html`<aside class="panel" aria-label="Session">
    ${session.logs && html`<${Section} title=${session.status === "failed" ? "Why it failed" : "Log"}>
      <${Plain} text=${session.logs} wrong=${session.status === "failed"} /><//>`}
    ${results.slice(0, RESULTS).map((each) => html`<${Result} key=${each.sessionAgentUuid} agent=${each}
      session=${session} name=${graph.names.get(each.sessionAgentUuid)} onSelect=${onSelect} />`)}
    ${results.length > RESULTS && html`<p class="muted">And ${results.length - RESULTS} more final agents.</p>`}
    ${session.taskQuery && html`<${Shown} title="Query" text=${session.taskQuery} />`}
    <dl class="facts"><dt>Session</dt><dd><${Uuid} value=${session.sessionUuid} /></dd>
      <dt>Coordination</dt><dd><${Uuid} value=${session.coordinationUuid} /></dd>
      ${session.userId && html`<dt>User</dt><dd>${session.userId}</dd>`}
      ${cost?.inputTokens > 0 && html`<dt>Cost</dt><dd>${money(cost.microUsd)} ${tokens(cost)} tokens
        ${cost.unpricedRuns > 0 && `, ${plural(cost.unpricedRuns, "attempt")} without a price`}</dd>`}
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
