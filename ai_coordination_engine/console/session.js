// One session: its graph, its timeline, its agents, and the selected one of them.
import { useEffect, useMemo, useRef, useState } from "./vendor.js";
import { ask, askAll } from "./client.js";
import { Graph, Grid, counted, graphOf, kept } from "./graph.js";
import { useWatched } from "./live.js";
import { Empty, FINAL, Missing, Problem, Status, Tabs, Took, html, later, parse, person, replace, to, tone, useKeys, useTick, visible, word } from "./ui.js";

const MANY = 300; // agents; a session with more is read by pages
const MOST = 5000; // agents that are read of a session that is too large for one request
// What is beside the graph is loaded when that is drawn.
const AgentPanel = later(() => import("./agent.js"), "AgentPanel", "aside");
const SessionPanel = later(() => import("./agent.js"), "SessionPanel", "aside");
const Controls = later(() => import("./controls.js"), "Controls", "div");
const Timeline = later(() => import("./timeline.js"), "Timeline", "div");
const VIEWS = [["graph", "Graph"], ["timeline", "Timeline"], ["agents", "Agents"]];

/** The session with its agents; those of a large one are read by pages, at a pace that spares the server. */
function useSession(c, s) {
  const [count, setCount] = useState(0);
  const [pages, setPages] = useState(null);
  const { value, error } = useWatched(pages ? "SessionAlone" : "Session", { c, s }, { count });
  const found = value?.session;
  const isLarge = error?.code === "TOO_COMPLEX" || found?.sessionAgents?.length > MANY;
  const changed = found?.updatedAt;
  const ended = found && FINAL.has(found.status);
  useEffect(() => {
    if ((!isLarge && !pages) || (pages && ended && pages.of === changed)) return undefined;
    let current = true;
    const read = async () => {
      const begun = performance.now();
      const { found: agents, more } = await askAll("Agents", "sessionAgentList", { s }, MOST);
      const pause = Math.min(Math.max(1000, performance.now() - begun), 5000);
      if (current) setPages({ agents, more, of: changed, pause });
    };
    const timer = setTimeout(() => read().catch(() => current && setPages((last) => last && { ...last })), pages?.pause ?? 0);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [isLarge, pages, changed]);
  const refresh = () => setCount((number) => number + 1);
  // A session that has ended is no longer told; somebody else may run it again.
  const looks = useTick(ended ? 3000 : 0);
  useEffect(() => {
    if (!looks || !ended || document.hidden) return;
    ask("SessionChange", { c, s }).then((data) => data.session && data.session.updatedAt !== changed && refresh(), () => {});
  }, [looks]);
  const session = pages && found ? { ...found, sessionAgents: pages.agents } : found;
  return { session, gone: value && !found, error: isLarge ? null : error, more: pages?.more, refresh };
}

export function Session({ path: [, c, s], query }) {
  const { session, gone, error, more, refresh } = useSession(c, s);
  const read = session?.sessionAgents;
  const last = useRef([]);
  const agents = useMemo(() => read && (last.current = kept(last.current, read)), [read]);
  const graph = useMemo(() => agents && graphOf(agents), [agents]);
  const view = VIEWS.some(([name]) => name === query.view) ? query.view : "graph";
  // They stay the same, so that agents that have not changed are not drawn again.
  const go = useMemo(() => (change) => replace(to("session", c, s, { ...parse().query, ...change })), [c, s]);
  const select = useMemo(() => (uuid) => go({ agent: uuid === parse().query.agent ? "" : uuid }), [go]);
  useKeys((event) => event.key === "Escape" && query.agent && go({ agent: "" }));
  const title = session && `${session.task?.taskName ?? "Session"} · ${word(session.status)}`;
  useEffect(() => { if (title) document.title = title; }, [title]);
  if (gone) return html`<main><${Empty} title="There is no such session"><a href=${to("sessions")}>Show all sessions</a><//></main>`;
  if (!graph) return html`<main><${Missing} error=${error} /></main>`;
  const agent = graph.all.get(query.agent);
  const shown = { graph, selected: query.agent, onSelect: select };
  return html`<main class="session">
    <${Head} session=${session} agents=${agents} graph=${graph} onDone=${refresh} />
    <${Problem} error=${error} />
    ${more && html`<p class="note">The first ${agents.length.toLocaleString()} agents are shown.</p>`}
    <div class="split"><div class="stage">
        <${Tabs} label="View" tabs=${VIEWS} current=${view} onChoose=${(name) => go({ view: name })} />
        ${agents.length === 0 ? html`<${Empty} title="This session has no agents yet" />`
          : view === "graph" ? html`<${Graph} ...${shown} />`
          : view === "timeline" ? html`<${Timeline} session=${session} ...${shown} />`
          : html`<${Grid} ...${shown} />`}
      </div>
      ${agent
        ? html`<${AgentPanel} key=${agent.sessionAgentUuid} session=${session} graph=${graph} agent=${agent} onSelect=${select}
            onClose=${() => go({ agent: "" })} onChanged=${refresh} />`
        : html`<${SessionPanel} session=${session} graph=${graph} onSelect=${select} />`}
    </div></main>`;
}

function Head({ session, agents, graph, onDone }) {
  const asking = agents.filter((each) => each.state === "wait_for_user_input");
  const people = agents.some((each) => ["executing", "pending"].includes(each.state)) ? [] : asking.map(person);
  return html`<header class="head">
    <div><p class="line muted"><a href=${to("sessions")}>Sessions</a> /
      <a href=${to("coordination", session.coordinationUuid)}>${visible(session.coordination?.coordinationName ?? "coordination")}</a></p>
      <h1>${visible(session.task?.taskName ?? "Session")}</h1>
      <p class="line"><${Status} status=${session.status} people=${people} /> <span class="muted"><${Took} session=${session} /></span></p></div>
    <${Controls} session=${session} graph=${graph} onDone=${onDone} />
    <${Progress} agents=${agents} />
  </header>`;
}

const ORDER = ["completed", "executing", "wait_for_user_input", "pending", "initial", "skipped", "cancelled", "failed"];

function Progress({ agents }) {
  const counts = counted(agents);
  const shown = ORDER.filter((state) => counts[state]);
  return html`<div class="progress"><div class="bar" aria-hidden="true">${shown.map((state) => html`
      <span key=${state} class="${tone(state)} ${state}" style=${{ flexGrow: counts[state] }} />`)}</div>
    <p class="line muted">${shown.map((state) => html`<span key=${state}>${counts[state]} ${word(state).toLowerCase()}</span>`)}</p></div>`;
}
