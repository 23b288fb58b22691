// One session: its graph, its timeline, its agents, and the selected one of them.
import { h, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./vendor.js";
import { ask, askAll, useWatched } from "./client.js";
import { layout } from "./layout.js";
import { Empty, FINAL, Loading, Missing, Problem, Status, Symbol, Tabs, Took, html, later, moment, parse, person, replace, span, to, tone, useKeys, useLoaded, usePages, useTick, visible, word } from "./ui.js";

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

// Its graph: agents in columns, edges with their conditions, maps as one agent.

const DEADLINE = 1500; // milliseconds for a layout
const FEW = 100; // agents and edges that are laid out at once, on the page's own thread
const LARGEST = { nodes: 2000, edges: 8000 };
const ON_A_PAGE = 400; // agents of a grid

const texts = new WeakMap();
const textOf = (agent) => texts.get(agent) ?? texts.set(agent, JSON.stringify(agent)).get(agent);

/** The agents `read`, but those that are as they were in `last` as the same objects, so that they are not drawn again. */
export function kept(last, read) {
  const known = new Map(last.map((each) => [textOf(each), each]));
  const found = read.map((each) => known.get(textOf(each)) ?? each);
  return same(found, last) ? last : found;
}

const same = (one, other) => one === other
  || (Array.isArray(one) && one.length === other?.length && one.every((each, index) => each === other[index]));

/** The graph of session agents: nodes (elements are counted at their map) and edges. */
export function graphOf(agents) {
  const all = new Map(agents.map((each) => [each.sessionAgentUuid, each]));
  const isElement = (each) => all.has(each.mapSessionAgentUuid);
  const elements = Map.groupBy(agents.filter(isElement), (each) => each.mapSessionAgentUuid);
  const nodes = agents.filter((each) => !isElement(each));
  const shown = new Set(nodes.map((each) => each.sessionAgentUuid));
  const edges = nodes.flatMap((each) => (each.successors ?? [])
    .filter((edge) => shown.has(edge.sessionAgentUuid)).map((edge) => ({ from: each.sessionAgentUuid, to: edge.sessionAgentUuid, ...edge })));
  return { all, nodes, edges, elements, names: names(nodes, elements) };
}

/** A name for each session agent; one that an agent shares with others gets a number. Elements have that of their map. */
function names(nodes, elements) {
  const alike = Map.groupBy(nodes, (each) => each.agentAction?.planStep?.id ?? each.agentName ?? each.agentUuid ?? each.sessionAgentUuid);
  const found = new Map([...alike].flatMap(([name, all]) => all.map((each, index) => [each.sessionAgentUuid, index ? `${name} #${index + 1}` : name])));
  for (const [map, all] of elements) {
    for (const each of all) found.set(each.sessionAgentUuid, `${found.get(map)} [${each.mapIndex}]`);
  }
  return found;
}

export function counted(agents) {
  const counts = {};
  for (const { state } of agents) counts[state] = (counts[state] ?? 0) + 1;
  return counts;
}

/** What an agent does, in a few words; `elements` are those of its map. */
export function summary(agent, elements) {
  const { state, attempt, startedAt, endedAt, notBefore, phase, agentAction: action } = agent;
  const again = attempt > 1 ? ` · attempt ${attempt}` : "";
  if (elements) {
    const counts = counted(elements);
    return `${counts.completed ?? 0}/${elements.length}${counts.failed ? ` · ${counts.failed} failed` : ""}`;
  }
  if (state === "executing" && startedAt) return `${span(Date.now() - moment(startedAt))}${again}`;
  if (state === "wait_for_user_input") return `asks ${person(agent)}`;
  if (state === "pending" && moment(notBefore) > Date.now()) return `again in ${span(moment(notBefore) - Date.now())}${again}`;
  if (state === "pending" && phase) return `${phase}${again}`;
  const took = state === "completed" && startedAt && endedAt && span(moment(endedAt) - moment(startedAt));
  return `${took || word(state)}${again}`;
}

/** A component that renders only if one of its properties has changed. */
const memo = (type) => function Memo(properties) {
  this.shouldComponentUpdate = (next) => Object.keys(next).some((key) => !same(next[key], this.props[key]));
  return h(type, properties);
};

const Node = memo(({ agent, name, elements, place, selected, onSelect }) => {
  useTick(agent.state === "executing" || agent.notBefore ? 1000 : 0);
  const done = elements && elements.filter((each) => FINAL.has(each.state)).length / elements.length;
  return html`<button class="node ${tone(agent.state)}" aria-pressed=${selected}
      style=${place && { left: `${place[0]}px`, top: `${place[1]}px` }} title=${name}
      onClick=${() => onSelect(agent.sessionAgentUuid)}>
    <${Symbol} state=${agent.state} /><span class="name">${name}</span>
    <span class="words">${summary(agent, elements)}</span>
    ${elements && html`<progress max="1" value=${done} aria-label=${`Elements of ${name}`} />`}
  </button>`;
});

const Nodes = ({ graph, agents, places, selected, onSelect }) => agents.map((agent) => {
  const { sessionAgentUuid: uuid } = agent;
  return html`<${Node} key=${uuid} agent=${agent} name=${graph.names.get(uuid)} elements=${graph.elements.get(uuid)}
    place=${places?.[uuid]} selected=${selected === uuid} onSelect=${onSelect} />`;
});

const curve = (points) => points.slice(1).reduce((path, [x, y], index) => {
  const [fromX, fromY] = points[index];
  const middle = (fromX + x) / 2;
  return `${path}C${middle},${fromY} ${middle},${y} ${x},${y}`;
}, `M${points[0]}`);

const OUTCOMES = { passes: ["✓", "true"], unsatisfied: ["✕", "false"], upstream_failed: ["✕", "not evaluated"] };

const Edge = memo(({ points, kind }) => html`<path d=${curve(points)} class="edge ${kind}" />`);

const Edges = memo(({ graph, places: { paths, width, height } }) => html`
  <svg class="edges" width=${width} height=${height} aria-hidden="true">${graph.edges.map((edge, index) => {
    const moves = edge.outcome === "passes" && graph.all.get(edge.to).state === "executing";
    return html`<${Edge} points=${paths[index]} kind="${edge.outcome ?? "open"} ${moves ? "moving" : ""}" />`;
  })}</svg>`);

function Conditions({ graph: { edges, names: of }, places: { paths } }) {
  return edges.map((edge, index) => {
    if (!edge.condition) return null;
    const [[x, y], [toX, toY]] = paths[index].slice(-2);
    const [sign, truth] = OUTCOMES[edge.outcome] ?? ["?", "not known yet"];
    return html`<span class="condition ${edge.outcome ?? "open"}"
      style=${{ left: `${(x + toX) / 2}px`, top: `${(y + toY) / 2}px` }}
      title="${of.get(edge.from)} → ${of.get(edge.to)}: ${edge.condition} is ${truth}">
      <span class="visually-hidden">Condition to ${of.get(edge.to)}, ${truth}: </span>
      <span aria-hidden="true">${sign} </span>${edge.condition}</span>`;
  });
}

/** The layout of a large graph, made off the page's thread; "late" when it takes longer than the deadline. */
function laidOut(input) {
  if (input.nodes.length > LARGEST.nodes || input.edges.length > LARGEST.edges) return "late";
  const worker = new Worker("/console/layout.js?beside", { type: "module" });
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data);
    setTimeout(() => resolve("late"), DEADLINE);
    worker.postMessage(input);
  }).finally(() => worker.terminate());
}

/** Where everything stands; "late" when the layout takes too long, null while it is made. */
function usePlaces(nodes, edges) {
  const key = `${nodes.map((each) => each.sessionAgentUuid)}|${edges.map(({ from, to }) => from + to)}`;
  const input = useMemo(() => ({
    nodes: nodes.map((each) => each.sessionAgentUuid), edges: edges.map(({ from, to }) => [from, to]),
    gap: 72 + Math.min(Math.max(0, ...edges.map((each) => (each.condition?.length ?? 0) * 6)), 96),
  }), [key]);
  const isSmall = nodes.length <= FEW && edges.length <= 3 * FEW;
  const atOnce = useMemo(() => (isSmall ? layout(input) : null), [key]);
  const [found] = useLoaded(async () => ({ key, places: isSmall ? null : await laidOut(input) }), [key]);
  // While a new layout is made, the one before would not fit the agents.
  return atOnce ?? (found?.key === key ? found.places : null);
}

export function Graph({ graph, selected, onSelect }) {
  const { nodes, edges } = graph;
  const places = usePlaces(nodes, edges);
  const ref = useRef();
  const [zoom, setZoom] = useState(null);
  const fitting = (least) => {
    const { clientWidth, clientHeight } = ref.current;
    const fits = Math.min((clientWidth - 48) / places.width, (clientHeight - 48) / places.height);
    return Math.max(Math.min(fits, 1), least);
  };
  useLayoutEffect(() => {
    if (places && places !== "late" && ref.current) setZoom(fitting(0.6)); // it stays readable
  }, [places]);
  if (!places) return html`<${Loading} />`;
  if (places === "late") return html`<${Grid} graph=${graph} selected=${selected} onSelect=${onSelect} />`;
  const scale = zoom ?? 1;
  const { width, height } = places;
  return html`<div class="graph">
    <div class="viewport" ref=${ref} tabindex="0" role="group" aria-label="Graph of the session">
      <div class="sheet" style=${{ width: `${width * scale}px`, height: `${height * scale}px` }}>
        <div class="scaled" style=${{ transform: `scale(${scale})`, width: `${width}px`, height: `${height}px` }}>
          <${Edges} graph=${graph} places=${places} />
          <${Nodes} graph=${graph} agents=${nodes} places=${places.places} selected=${selected} onSelect=${onSelect} />
          <${Conditions} graph=${graph} places=${places} />
        </div>
      </div>
    </div>
    <div class="zoom" role="group" aria-label="Zoom">
      <button aria-label="Smaller" onClick=${() => setZoom(Math.max(scale / 1.25, 0.1))}>−</button>
      <button onClick=${() => setZoom(fitting(0.05))}>Fit</button>
      <button aria-label="Larger" onClick=${() => setZoom(Math.min(scale * 1.25, 2))}>+</button>
    </div></div>`;
}

/** All agents as tiles, a page at a time. */
export function Grid({ graph, agents = graph.nodes, selected, onSelect }) {
  const [shown, pages] = usePages(agents, ON_A_PAGE);
  return html`<div class="grid" role="group" aria-label="Agents of the session">
    <${Nodes} graph=${graph} agents=${shown} selected=${selected} onSelect=${onSelect} />
  </div>${pages}`;
}

