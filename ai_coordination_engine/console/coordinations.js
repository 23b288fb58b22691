// Coordinations: their agents, tasks and schedules, and a start of a task.
import { useState } from "./vendor.js";
import { ask } from "./client.js";
import { Json } from "./text.js";
import { Ago, Area, Badge, Dialog, Empty, Missing, Opens, Search, Uuid, html, plural, say, taskKey, to, useCursors, useLoaded, visible } from "./ui.js";

/** One page after the other of a list of the API. */
function useList(document, field, variables) {
  const [cursor, pages, restart] = useCursors();
  const [found, error, again] = useLoaded(() => ask(document, { ...variables, cursor }), [JSON.stringify(variables), cursor]);
  const page = found?.[field];
  const state = html`<${Missing} value=${page} error=${error} again=${again} />`;
  return { rows: page?.[field], pages: pages(page?.nextCursor), state, restart };
}

export function Coordinations() {
  const [name, setName] = useState("");
  const { rows, pages, state, restart } = useList("Coordinations", "coordinationList", { name: name || undefined });
  const choose = (text) => { restart(); setName(text); };
  return html`<main><h1>Coordinations</h1>
    <div class="filters"><${Search} label="Name" value=${name} onChange=${choose} placeholder="contains" /></div>
    ${state}
    ${rows?.length === 0 && html`<${Empty} title=${name ? "No coordination matches" : "There are no coordinations yet"}>
      <a href=${to("editor")}>Write a run file</a>: it makes one.<//>`}
    <div class="cards">${(rows ?? []).map((each) => html`<article class="panel" key=${each.coordinationUuid}>
      <h2><a href=${to("coordination", each.coordinationUuid)}>${visible(each.coordinationName ?? each.coordinationUuid)}</a></h2>
      ${each.coordinationDescription && html`<p>${visible(each.coordinationDescription)}</p>`}
      <p class="line muted"><span>${plural(each.agents?.length ?? 0, "agent")}</span><span>changed <${Ago} time=${each.updatedAt} /></span></p></article>`)}</div>
    ${pages}</main>`;
}

export function Coordination({ path: [, c] }) {
  const [found, error, again] = useLoaded(() => ask("Coordination", { c }), [c]);
  const coordination = found?.coordination;
  if (!found) return html`<main><${Missing} error=${error} again=${again} /></main>`;
  if (!coordination) return html`<main><${Empty} title="There is no such coordination"><a href=${to("coordinations")}>Show all</a><//></main>`;
  const agents = (coordination.agents ?? []).slice(0, 500);
  return html`<main><p class="muted"><a href=${to("coordinations")}>Coordinations</a></p>
    <h1>${visible(coordination.coordinationName ?? c)}</h1>${coordination.coordinationDescription && html`<p>${visible(coordination.coordinationDescription)}</p>`}
    <p class="line muted"><${Uuid} value=${c} /><span>changed <${Ago} time=${coordination.updatedAt} /></span></p>
    <h2>Tasks</h2><${Tasks} c=${c} />
    <h2>Schedules</h2><${Schedules} c=${c} />
    <h2>Agents</h2><div class="cards">${agents.map((each) => html`<article class="panel" key=${each.agentUuid}>
      <h3>${visible(each.agentName ?? each.agentUuid)}${each.agentType && each.agentType !== "task" && ` · ${each.agentType}`}</h3>
      ${each.agentDescription && html`<p>${visible(each.agentDescription)}</p>`}
      ${each.runtime ? html`<${Json} text=${JSON.stringify(each.runtime)} />` : html`<p class="muted">runs on the server's default</p>`}
    </article>`)}</div></main>`;
}

function Tasks({ c }) {
  const { rows, pages, state } = useList("Tasks", "taskList", { c });
  return html`${state}${rows?.length === 0 && html`<${Empty} title="No tasks yet" />`}
    ${rows?.length > 0 && html`<table class="rows"><thead><tr><th>Task</th><th>Steps</th><th>Changed</th><th /></tr></thead><tbody>
      ${rows.map((each) => html`<tr key=${each.taskUuid}><td class="main"><strong>${visible(each.taskName ?? each.taskUuid)}</strong>
          <span class="excerpt">${visible((each.taskDescription ?? each.initialTaskQuery ?? "").slice(0, 200))}</span></td>
        <td data-label="Steps">${each.plan ? "planned by an agent" : each.subtaskQueries?.length || Object.keys(each.agentActions ?? {}).length}</td>
        <td data-label="Changed"><${Ago} time=${each.updatedAt} /></td>
        <td class="line"><a href=${to("sessions", { task: taskKey(c, each.taskUuid) })}>Sessions</a>
          <${Opens} words="Start" dialog=${Start} c=${c} task=${each} /></td></tr>`)}</tbody></table>`}${pages}`;
}

function Start({ c, task, onClose }) {
  const [query, setQuery] = useState(task.initialTaskQuery ?? "");
  const send = async (key) => {
    const own = query !== (task.initialTaskQuery ?? "") ? query : undefined;
    const data = await ask("Start", { coordinationUuid: c, taskUuid: task.taskUuid, taskQuery: own, sessionUuid: key });
    say("The session has started.");
    location.hash = to("session", c, data.executeProcedureTaskSession.procedureTaskSession.sessionUuid);
  };
  return html`<${Dialog} title="Start ${task.taskName ?? "this task"}?" action="Start" onSend=${send} onClose=${onClose}>
    <p>A new session of this task starts now.</p>
    <${Area} label="Query: a text, or a JSON object that fills placeholders" rows="5" value=${query} onChange=${setQuery} /><//>`;
}

function Schedules({ c }) {
  const { rows, pages, state } = useList("Schedules", "taskScheduleList", { c });
  return html`${state}${rows?.length === 0 && html`<p class="muted">No task of this coordination has a schedule.</p>`}
    ${rows?.length > 0 && html`<table class="rows"><thead><tr><th>Schedule</th><th>Status</th><th>Next times</th><th>Sessions</th></tr></thead><tbody>
      ${rows.map((each) => html`<tr key=${each.scheduleUuid}><td class="main"><strong><code>${visible(each.schedule ?? "")}</code></strong>
          <span class="excerpt">${visible(each.task?.taskName ?? each.taskUuid)} · ${each.timezone ?? "UTC"}</span></td>
        <td data-label="Status"><${Badge} state=${each.status} />
          ${each.status !== "active" && html`<span class="excerpt">${visible(each.whyNotFired?.message ?? "")}</span>`}</td>
        <td data-label="Next times"><div>${(each.upcoming ?? []).map((time) => html`<div><time>${time.replace("T", " ")}</time></div>`)}
          ${!each.upcoming?.length && html`<span class="muted">none</span>`}</div></td>
        <td data-label="Sessions">${each.runCount ?? 0}</td></tr>`)}</tbody></table>`}${pages}`;
}
