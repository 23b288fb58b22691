// What a person can do with a session, and what each of it will do, said before it is done.
import { useMemo, useState } from "./vendor.js";
import { ask } from "./client.js";
import { counted } from "./graph.js";
import { Dialog, FINAL, html, say, to } from "./ui.js";

const ENDED = new Set(["completed", "failed", "timeout", "cancelled"]);

const plural = (number, word, many = `${word}s`) => `${number} ${number === 1 ? word : many}`;


/** The agents that come after one, without itself. */
function after(graph, uuid) {
  const next = new Map();
  for (const { from, to: end } of graph.edges) {
    if (next.has(from)) next.get(from).push(end);
    else next.set(from, [end]);
  }
  const found = new Set();
  const waiting = [...(next.get(uuid) ?? [])];
  while (waiting.length) {
    const each = waiting.pop();
    if (found.has(each)) continue;
    found.add(each);
    waiting.push(...(next.get(each) ?? []));
  }
  return found;
}

const named = (graph, uuids) => {
  const words = [...uuids].slice(0, 5).map((uuid) => graph.names.get(uuid));
  return words.join(", ") + (uuids.size > 5 ? ` and ${uuids.size - 5} more` : "");
};

/** The controls: which statuses allow it, and what it will do. */
const CONTROLS = {
  pause: {
    title: "Pause", allowed: (status) => !ENDED.has(status) && status !== "paused",
    text: ({ counts }) => `No new attempt begins. ${counts.executing
      ? `${plural(counts.executing, "running attempt")} will go on to the end. ` : ""}Answers are still accepted.`,
  },
  resume: {
    title: "Resume", allowed: (status) => status === "paused",
    text: () => "The session goes on where it stands.",
  },
  cancel: {
    title: "Cancel", danger: true, allowed: (status) => !ENDED.has(status),
    text: ({ counts, open }) => `${plural(open, "agent")} that ${open === 1 ? "has" : "have"} not ended will be
      cancelled${counts.executing ? `; the results of ${plural(counts.executing, "running attempt")} will be ignored` : ""}.
      Outputs that are there are kept. A retry can continue the session later.`,
  },
  retry: {
    title: "Retry", allowed: (status) => ENDED.has(status) && status !== "completed",
    text: ({ counts }) => `Runs again: ${plural(counts.failed ?? 0, "failed agent")},
      ${plural(counts.cancelled ?? 0, "cancelled agent")}, and what was skipped because of a failure
      (${counts.skipped ?? 0} skipped). ${plural(counts.completed ?? 0, "completed agent")} will be kept.`,
  },
};

export function Controls({ session, graph, onDone }) {
  const [open, setOpen] = useState(null);
  const { status } = session;
  return html`<div class="actions">
    ${Object.entries(CONTROLS).map(([name, { title, allowed, danger }]) => allowed(status) && html`
      <button key=${name} class=${danger ? "danger quiet" : ""} onClick=${() => setOpen(name)}>${title}</button>`)}
    <button onClick=${() => setOpen("fork")}>Fork</button>
    ${open === "fork" && html`<${Fork} session=${session} graph=${graph} onClose=${() => setOpen(null)} />`}
    ${open && open !== "fork" && html`<${Control} name=${open} session=${session} graph=${graph}
      onDone=${onDone} onClose=${() => setOpen(null)} />`}
  </div>`;
}

function Control({ name, session, graph, onDone, onClose }) {
  const { title, text, danger } = CONTROLS[name];
  const key = useMemo(() => crypto.randomUUID(), []);
  const agents = [...graph.all.values()];
  const counts = counted(agents);
  const open = agents.filter((each) => !FINAL.has(each.state)).length;
  const send = async () => {
    const { coordinationUuid: c, sessionUuid: s } = session;
    const data = await ask(name, { c, s, key });
    say(`The session is ${data[`${name}Session`].session.status.replaceAll("_", " ")}.`);
    onDone();
  };
  return html`<${Dialog} title="${title} this session?" action="${title} the session" danger=${danger}
    onSend=${send} onClose=${onClose}><p>${text({ counts, open })}</p><//>`;
}

export function Rerun({ session, graph, agent, onDone }) {
  const [open, setOpen] = useState(false);
  const key = useMemo(() => crypto.randomUUID(), [open]);
  if (!ENDED.has(session.status) || agent.mapSessionAgentUuid) return null;
  const later = after(graph, agent.sessionAgentUuid);
  const send = async () => {
    await ask("Rerun", { s: session.sessionUuid, a: agent.sessionAgentUuid, key });
    say("The agent runs again.");
    onDone();
  };
  const name = graph.names.get(agent.sessionAgentUuid);
  return html`<button onClick=${() => setOpen(true)}>Rerun from here</button>
    ${open && html`<${Dialog} title="Rerun ${name}?" action="Rerun" onSend=${send} onClose=${() => setOpen(false)}>
      <p><strong>${name}</strong> runs again${later.size > 0 && `, and the ${plural(later.size, "agent")} after it: ${named(graph, later)}`};
        so do agents that a retry would run. Their present outputs are replaced; the runs of earlier attempts stay.</p><//>`}`;
}

/** Start a copy, from an agent on when one is given. */
export function Fork({ session, graph, agent, onClose }) {
  const key = useMemo(() => crypto.randomUUID(), []);
  const [task, setTask] = useState(session.taskQuery ?? "");
  const [subtask, setSubtask] = useState("");
  const uuid = agent?.sessionAgentUuid;
  const again = agent ? new Set([uuid, ...after(graph, uuid)]) : null;
  const kept = graph.nodes.filter((each) => each.state === "completed" && !again?.has(each.sessionAgentUuid));
  const send = async () => {
    const { session: made } = (await ask("Fork", {
      c: session.coordinationUuid, s: session.sessionUuid, agent: uuid, key,
      task: task === (session.taskQuery ?? "") ? undefined : task, subtask: subtask || undefined,
    })).forkSession;
    say("The fork has started.");
    location.hash = to("session", made.coordinationUuid, made.sessionUuid);
  };
  return html`<${Dialog} title="Fork ${agent ? `from ${graph.names.get(uuid)}` : "this session"}?"
      action="Start the fork" onSend=${send} onClose=${onClose}>
    <p>A new session starts. It copies ${plural(kept.length, "completed agent")} with their outputs and runs ${agent ? named(graph, again) : "all others"}. This session does not change.</p>
    <label>Query of the fork
      <textarea rows="4" value=${task} onInput=${(event) => setTask(event.target.value)} /></label>
    ${agent && html`<label>Question for ${graph.names.get(uuid)} (empty: as before)
      <textarea rows="3" value=${subtask} onInput=${(event) => setSubtask(event.target.value)} /></label>`}
  <//>`;
}
