// The list of sessions: live, with filters, counts and a search.
import { ask, tenant, useWatched } from "./client.js";
import { Session } from "./session.js";
import { Ago, Empty, Missing, Search, Status, Took, decoded, html, person, replace, taskKey, to, useCalm, useCursors, useLoaded, visible } from "./ui.js";

const PAGE = 30;

const FILTERS = {
  "": { title: "All" },
  running: { title: "Running", statuses: ["dispatched", "in_progress", "active", "in_transit"], count: "in_progress" },
  waiting: { title: "Waits for a person", waits: true },
  paused: { title: "Paused", statuses: ["paused"], count: "paused" },
  completed: { title: "Completed", statuses: ["completed"], count: "completed" },
  failed: { title: "Failed", statuses: ["failed", "timeout"], count: "failed" },
  cancelled: { title: "Cancelled", statuses: ["cancelled"], count: "cancelled" },
};

function numbers(found) {
  const shown = ({ count, isLowerBound }) => `${count}${isLowerBound ? "+" : ""}`;
  const counts = found?.sessionCounts;
  const by = Object.fromEntries((counts?.byStatus ?? []).map((each) => [each.status, shown(each)]));
  return (filter) => (filter.waits ? counts && shown(counts.waitsForPerson) : by[filter.count]);
}

export function Sessions({ query, waiting }) {
  const filter = FILTERS[query.show] ?? FILTERS[""];
  const [cursor, pages, restart] = useCursors();
  const choose = (change) => {
    restart();
    replace(to("sessions", { ...query, ...change }));
  };
  const task = query.task?.split(" ").map(decoded);
  const { value, error } = useWatched("Sessions", {
    limit: PAGE, cursor, statuses: filter.statuses, waits: filter.waits,
    coordination: task?.[0], task: task?.[1], user: query.user, prefix: query.prefix,
  });
  const list = value?.sessionList;
  const [counts] = useLoaded(() => ask("Counts"), [useCalm(list, 3000)]);
  const [tasks] = useLoaded(() => ask("TaskNames"), []);
  const number = numbers(counts);
  return html`<main><h1>Sessions</h1>
    <div class="filters"><div class="chips" role="group" aria-label="Status">
        ${Object.entries(FILTERS).map(([name, each]) => html`<button key=${name} aria-pressed=${each === filter}
          onClick=${() => choose({ show: name })}>${each.title} ${number(each) && html`<span class="count">${number(each)}</span>`}</button>`)}
      </div>
      <label>Task <select value=${query.task ?? ""} onChange=${(event) => choose({ task: event.target.value })}>
        <option value="">all tasks</option>
        ${(tasks?.taskList.taskList ?? []).map((each) => html`<option key=${each.taskUuid}
          value=${taskKey(each.coordinationUuid, each.taskUuid)}>${each.taskName ?? each.taskUuid}</option>`)}</select></label>
      <${Search} label="User" value=${query.user} onChange=${(user) => choose({ user })} placeholder="all users" />
      <${Search} label="Uuid" value=${query.prefix} onChange=${(prefix) => choose({ prefix })}
        placeholder="begins with" spellcheck=${false} />
    </div>
    <${Missing} value=${list} error=${error} />
    ${list && (list.sessionList.length ? html`<${Rows} sessions=${list.sessionList} waiting=${waiting} />` : html`<${Nothing} query=${query} />`)}
    ${pages(list?.nextCursor)}
  </main>`;
}

const Nothing = ({ query }) => (query.show || query.task || query.user || query.prefix
  ? html`<${Empty} title="No session matches"><a href=${to("sessions")}>Show all sessions</a><//>`
  : html`<${Empty} title="There are no sessions yet">${tenant && html`The tenant is <code>${visible(tenant)}</code>. `}
    <a href=${to("editor")}>Write a run file and run it</a>, or start one with <code>ace run FILE</code>.<//>`);

const Rows = ({ sessions, waiting }) => html`<table class="rows sessions"><thead><tr><th>Status</th><th>Session</th><th>User</th>
    <th>Started</th><th>Took</th></tr></thead>
  <tbody>${sessions.map((each) => html`<${Row} key=${each.sessionUuid} session=${each}
    people=${waiting.filter((agent) => agent.sessionUuid === each.sessionUuid).map(person)} />`)}</tbody></table>`;

function Row({ session, people }) {
  const { status, createdAt, coordination, task, userId } = session;
  return html`<tr>
    <td data-label="Status"><${Status} status=${status} people=${people} /></td>
    <td data-label="Session" class="main"><a href=${to("session", session.coordinationUuid, session.sessionUuid)}>
        ${visible(task?.taskName ?? "Without a task")}</a>
      <span class="muted">${coordination?.coordinationName !== task?.taskName && visible(coordination?.coordinationName ?? "")}</span>
      <span class="excerpt">${visible((session.taskQuery ?? "").slice(0, 160).replace(/\s+/g, " "))}</span>
      <code class="muted">${session.sessionUuid.slice(0, 18)}</code></td>
    <td data-label="User">${userId ? visible(userId) : html`<span class="muted">–</span>`}</td>
    <td data-label="Started"><${Ago} time=${createdAt} /></td>
    <td data-label="Took"><${Took} session=${session} /></td></tr>`;
}

/** The newest session, and the next one as soon as it starts. */
export function Latest({ query }) {
  const { value, error } = useWatched("Latest", {});
  const latest = value?.sessionList.sessionList[0];
  if (latest) return html`<${Session} key=${latest.sessionUuid} path=${["", latest.coordinationUuid, latest.sessionUuid]} query=${query} />`;
  return html`<main>${value ? html`<${Nothing} query=${query} />` : html`<${Missing} error=${error} />`}</main>`;
}
