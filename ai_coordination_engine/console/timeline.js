// The attempts of a session over time. Long stretches in which nothing ran are cut short.
import { useMemo } from "./vendor.js";
import { askAll } from "./client.js";
import { counted } from "./session.js";
import { Empty, FINAL, Missing, Symbol, html, moment, plural, span, tone, useCalm, useLoaded, usePages, useTick, word } from "./ui.js";

const ROWS = 100;
const MOST = 2000; // runs
const CUT = 0.04; // the width of a stretch that is cut short, as a share of the whole

/** All attempts as bars: those that have a run, and those that go on. */
function bars(agents, runs, now) {
  const key = (each) => `${each.sessionAgentUuid} ${each.attempt}`;
  const known = new Set(runs.map(key));
  const others = agents.filter((each) => !known.has(key(each))).map((each) => (
    { ...each, status: each.state, endedAt: each.endedAt ?? (FINAL.has(each.state) ? each.startedAt : null) }));
  return [...runs, ...others].filter((each) => each.startedAt).map((each) => ({
    agent: each.sessionAgentUuid, attempt: each.attempt, state: each.status ?? "completed",
    start: moment(each.startedAt), end: moment(each.endedAt) ?? now,
  }));
}

/** A scale from times to 0…1: {at, gaps: [{x, width, milliseconds}], total}. */
export function scaleOf(found) {
  const busy = []; // [start, end] of each stretch in which something ran
  for (const { start, end } of found.toSorted((one, other) => one.start - other.start)) {
    const last = busy.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else busy.push([start, Math.max(end, start + 1)]);
  }
  const sum = (numbers) => numbers.reduce((total, each) => total + each, 0);
  const worked = sum(busy.map(([start, end]) => end - start));
  const idle = busy.map(([, end], index) => (busy[index + 1]?.[0] ?? end) - end);
  const longest = Math.max(worked * 0.25, 1000);
  const cut = idle.filter((each) => each > longest).length;
  const short = Math.min(CUT, 0.4 / Math.max(cut, 1));
  const unit = (1 - short * cut) / Math.max(worked + sum(idle.filter((each) => each <= longest)), 1);
  const gaps = [];
  let next = 0;
  const places = busy.map(([start, end], index) => {
    const place = next;
    const milliseconds = idle[index];
    next += (end - start) * unit;
    if (milliseconds > longest) gaps.push({ x: next, width: short, milliseconds });
    next += milliseconds > longest ? short : milliseconds * unit;
    return place;
  });
  const at = (time) => {
    const index = Math.max(busy.findLastIndex(([start]) => start <= time), 0);
    const [start, end] = busy[index];
    return places[index] + (Math.min(time, end) - start) * unit;
  };
  return { at, gaps, total: busy.length ? busy.at(-1)[1] - busy[0][0] : 0 };
}

const percent = (share) => `${(share * 100).toFixed(3)}%`;

export function Timeline({ session, graph, selected, onSelect }) {
  const agents = session.sessionAgents;
  const counts = counted(agents);
  const key = JSON.stringify(counts) + agents.reduce((sum, each) => sum + (each.attempt ?? 0), 0);
  const [runs, error, again] = useLoaded(() => askAll("Runs", "sessionRunList", { s: session.sessionUuid }, MOST), [session.sessionUuid, useCalm(key, agents.length > 50 ? 2000 : 200)]);
  const ticks = useTick(counts.executing ? 1000 : 0);
  const found = useMemo(() => bars(agents, runs?.found ?? [], Date.now()), [agents, runs, ticks]);
  const of = Map.groupBy(found, (bar) => bar.agent);
  const begun = (agent) => of.get(agent.sessionAgentUuid)[0].start;
  const rows = agents.filter((each) => of.has(each.sessionAgentUuid)).sort((one, other) => begun(one) - begun(other));
  const [shown, pages] = usePages(rows, ROWS);
  if (error || !runs) return html`<${Missing} error=${error} again=${again} />`;
  if (!found.length) return html`<${Empty} title=${counts.completed ? "Nothing has run since it was copied" : "Nothing has run yet"} />`;
  const { at, gaps, total } = scaleOf(found);
  return html`<div class="timeline">
    <p class="muted line"><span>${plural(found.length, "attempt")} in ${span(total)}</span>
      ${gaps.length > 0 && html`<span>${plural(gaps.length, "idle stretch is", "idle stretches are")} cut short</span>`}</p>
    <div class="lanes">
      <div class="gaps" aria-hidden="true">${gaps.map((gap) => html`<span class="gap" style=${{ left: percent(gap.x), width: percent(gap.width) }}
        title="${span(gap.milliseconds)} without an attempt"><span>${span(gap.milliseconds)}</span></span>`)}</div>
      ${shown.map((agent) => html`<${Lane} key=${agent.sessionAgentUuid} agent=${agent} name=${graph.names.get(agent.sessionAgentUuid)}
        found=${of.get(agent.sessionAgentUuid)} at=${at} selected=${selected} onSelect=${onSelect} />`)}</div>
    ${pages}</div>`;
}

function Lane({ agent, name, found, at, selected, onSelect }) {
  const words = found.map((bar) => `attempt ${bar.attempt ?? "?"}: ${word(bar.state)}, ${span(bar.end - bar.start)}`);
  return html`<button class="lane" aria-pressed=${selected === agent.sessionAgentUuid} title="${name}: ${words.join("; ")}"
      onClick=${() => onSelect(agent.sessionAgentUuid)}>
    <span class="name"><${Symbol} state=${agent.state} /> ${name}</span>
    <span class="track" aria-hidden="true">${found.map((bar) => html`<span class="attempt ${tone(bar.state)}"
      style=${{ left: percent(at(bar.start)), width: percent(Math.max(at(bar.end) - at(bar.start), 0.002)) }} />`)}</span>
    <span class="muted took">${span(found.reduce((sum, bar) => sum + bar.end - bar.start, 0))}</span></button>`;
}
