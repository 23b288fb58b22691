// The attempts of a session over time. Long stretches in which nothing ran are cut short.
import { useMemo, useState } from "./vendor.js";
import { ask } from "./client.js";
import { counted, elementName } from "./graph.js";
import { Empty, FINAL, Loading, Pages, Problem, STATES, Symbol, html, moment, span, tone, useCalm, useLoaded, useTick } from "./ui.js";

const ROWS = 100;
const MOST = 2000; // runs
const CUT = 0.04; // the width of a stretch that is cut short, as a share of the whole

async function runsOf(s) {
  const runs = [];
  let cursor = null;
  do {
    const { sessionRunList: page } = await ask("Runs", { s, cursor });
    runs.push(...page.sessionRunList);
    cursor = page.nextCursor;
  } while (cursor && runs.length < MOST);
  return runs;
}

/** All attempts as bars: those that have a run, and those that go on. */
function bars(agents, runs, now) {
  const found = runs.filter((run) => run.startedAt).map((run) => ({
    agent: run.sessionAgentUuid, attempt: run.attempt, state: run.status ?? "completed",
    start: moment(run.startedAt), end: moment(run.endedAt) ?? now, error: run.errorClass,
  }));
  const known = new Set(found.map(({ agent, attempt }) => `${agent} ${attempt}`));
  for (const each of agents) {
    if (!each.startedAt || known.has(`${each.sessionAgentUuid} ${each.attempt}`)) continue;
    const open = !each.endedAt && !FINAL.has(each.state);
    found.push({
      agent: each.sessionAgentUuid, attempt: each.attempt, state: each.state,
      start: moment(each.startedAt), end: open ? now : moment(each.endedAt) ?? moment(each.startedAt),
    });
  }
  return found;
}

/** A scale from times to 0…1: {at, gaps: [{x, width, milliseconds}], total}. */
export function scaleOf(found) {
  const sorted = [...found].sort((one, other) => one.start - other.start);
  const busy = [];
  for (const { start, end } of sorted) {
    const last = busy.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else busy.push([start, Math.max(end, start + 1)]);
  }
  const worked = busy.reduce((sum, [start, end]) => sum + end - start, 0);
  const longest = Math.max(worked * 0.25, 1000);
  const idle = busy.slice(1).map(([start], index) => start - busy[index][1]);
  const cut = idle.filter((each) => each > longest).length;
  const short = Math.min(CUT, 0.4 / Math.max(cut, 1));
  const drawn = worked + idle.reduce((sum, each) => sum + (each > longest ? 0 : each), 0);
  const unit = (1 - short * cut) / Math.max(drawn, 1);
  const pieces = [];
  const gaps = [];
  let x = 0;
  busy.forEach(([start, end], index) => {
    pieces.push({ start, end, x });
    x += (end - start) * unit;
    const pause = idle[index];
    if (pause === undefined) return;
    const width = pause > longest ? short : pause * unit;
    if (pause > longest) gaps.push({ x, width, milliseconds: pause });
    x += width;
  });
  const at = (time) => {
    const piece = pieces.findLast((each) => each.start <= time) ?? pieces[0];
    return piece.x + Math.min(time - piece.start, piece.end - piece.start) * unit;
  };
  return { at, gaps, total: sorted.length ? busy.at(-1)[1] - busy[0][0] : 0 };
}

const percent = (share) => `${(share * 100).toFixed(3)}%`;

export function Timeline({ session, graph, selected, onSelect }) {
  const agents = session.sessionAgents;
  const [page, setPage] = useState(0);
  const counts = counted(agents);
  const key = JSON.stringify(counts) + agents.reduce((sum, each) => sum + (each.attempt ?? 0), 0);
  const [runs, error, again] = useLoaded(() => runsOf(session.sessionUuid), [session.sessionUuid, useCalm(key, agents.length > 50 ? 2000 : 200)]);
  const running = Boolean(counts.executing);
  useTick(running ? 1000 : 0);
  const now = Date.now();
  const found = useMemo(() => runs && bars(agents, runs, now), [agents, runs, running && Math.floor(now / 1000)]);
  if (error) return html`<${Problem} error=${error} again=${again} />`;
  if (!found) return html`<${Loading} />`;
  if (!found.length) return html`<${Empty} title=${counts.completed ? "Nothing has run since it was copied" : "Nothing has run yet"} />`;
  const { at, gaps, total } = scaleOf(found);
  const first = new Map();
  for (const bar of found) first.set(bar.agent, [...(first.get(bar.agent) ?? []), bar]);
  const rows = agents.filter((each) => first.has(each.sessionAgentUuid))
    .sort((one, other) => first.get(one.sessionAgentUuid)[0].start - first.get(other.sessionAgentUuid)[0].start);
  return html`<div class="timeline">
    <p class="muted line"><span>${found.length} ${found.length === 1 ? "attempt" : "attempts"} in ${span(total)}</span>
      ${gaps.length > 0 && html`<span>${gaps.length} idle ${gaps.length === 1 ? "stretch is" : "stretches are"} cut short</span>`}</p>
    <div class="lanes">
      <div class="gaps" aria-hidden="true">${gaps.map((gap) => html`<span class="gap" style=${{ left: percent(gap.x), width: percent(gap.width) }}
        title="${span(gap.milliseconds)} without an attempt"><span>${span(gap.milliseconds)}</span></span>`)}</div>
      ${rows.slice(page * ROWS, (page + 1) * ROWS).map((agent) => html`<${Lane} key=${agent.sessionAgentUuid} agent=${agent}
        name=${graph.names.get(agent.sessionAgentUuid) ?? elementName(graph, agent)} at=${at}
        found=${first.get(agent.sessionAgentUuid)} selected=${selected} onSelect=${onSelect} />`)}
    </div>
    <${Pages} page=${page} more=${rows.length > (page + 1) * ROWS} onPage=${setPage} /></div>`;
}

function Lane({ agent, name, found, at, selected, onSelect }) {
  const words = found.map((bar) => `attempt ${bar.attempt ?? "?"}: ${STATES[bar.state]?.[1] ?? bar.state}, ${span(bar.end - bar.start)}`);
  return html`<button class="lane" aria-pressed=${selected === agent.sessionAgentUuid} title="${name}: ${words.join("; ")}"
      onClick=${() => onSelect(agent.sessionAgentUuid)}>
    <span class="name"><${Symbol} state=${agent.state} /> ${name}</span>
    <span class="track" aria-hidden="true">${found.map((bar) => html`<span class="attempt ${tone(bar.state)}"
      style=${{ left: percent(at(bar.start)), width: percent(Math.max(at(bar.end) - at(bar.start), 0.002)) }} />`)}</span>
    <span class="muted took">${span(found.reduce((sum, bar) => sum + bar.end - bar.start, 0))}</span></button>`;
}
