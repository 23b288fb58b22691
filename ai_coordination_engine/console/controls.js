// What a person can do with a session, and what each of it will do, said before it is done.
import { useState } from "./vendor.js";
import { ask } from "./client.js";
import { counted } from "./session.js";
import { Area, Dialog, FINAL, Opens, html, plural, say, to } from "./ui.js";

/** The agents that come after one, without itself. */
function after(graph, uuid) {
  const next = Map.groupBy(graph.edges, (edge) => edge.from);
  const found = new Set([uuid]);
  for (const each of found) for (const edge of next.get(each) ?? []) found.add(edge.to); // it grows while it is read
  found.delete(uuid);
  return found;
}

const named = (graph, uuids) => {
  const words = [...uuids].slice(0, 5).map((uuid) => graph.names.get(uuid));
  return words.join(", ") + (uuids.size > 5 ? ` and ${uuids.size - 5} more` : "");
};

/** The controls: which statuses allow it, and what it will do. */
const CONTROLS = {
  pause: {
    title: "Pause", allowed: (status) => !FINAL.has(status) && status !== "paused",
    text: ({ counts }) => `No new attempt begins. ${counts.executing
      ? `${plural(counts.executing, "running attempt")} will go on to the end. ` : ""}Answers are still accepted.`,
  },
  resume: { title: "Resume", allowed: (status) => status === "paused", text: () => "The session goes on where it stands." },
  cancel: {
    title: "Cancel", danger: true, allowed: (status) => !FINAL.has(status),
    text: ({ counts, open }) => `${plural(open, "agent")} that ${open === 1 ? "has" : "have"} not ended will be
      cancelled${counts.executing ? `; the results of ${plural(counts.executing, "running attempt")} will be ignored` : ""}.
      Outputs that are there are kept. A retry can continue the session later.`,
  },
  retry: {
    title: "Retry", allowed: (status) => FINAL.has(status) && status !== "completed",
    text: ({ counts }) => `Runs again: ${plural(counts.failed ?? 0, "failed agent")},
      ${plural(counts.cancelled ?? 0, "cancelled agent")}, and what was skipped because of a failure
      (${counts.skipped ?? 0} skipped). ${plural(counts.completed ?? 0, "completed agent")} will be kept.`,
  },
};

export const Controls = ({ session, graph, onDone }) => html`<div class="actions">
  ${Object.entries(CONTROLS).map(([name, { title, allowed, danger }]) => allowed(session.status) && html`
    <${Opens} key=${name} words=${title} kind=${danger ? "danger quiet" : ""} dialog=${Control} name=${name}
      session=${session} graph=${graph} onDone=${onDone} />`)}
  <${Opens} words="Fork" dialog=${Fork} session=${session} graph=${graph} /></div>`;

function Control({ name, session, graph, onDone, onClose }) {
  const { title, text, danger } = CONTROLS[name];
  const agents = [...graph.all.values()];
  const open = agents.filter((each) => !FINAL.has(each.state)).length;
  const send = async (key) => {
    const data = await ask(name, { c: session.coordinationUuid, s: session.sessionUuid, key });
    say(`The session is ${data[`${name}Session`].session.status.replaceAll("_", " ")}.`);
    onDone();
  };
  return html`<${Dialog} title="${title} this session?" action="${title} the session" danger=${danger}
    onSend=${send} onClose=${onClose}><p>${text({ counts: counted(agents), open })}</p><//>`;
}

export function Rerun({ session, graph, agent, onDone, onClose }) {
  const later = after(graph, agent.sessionAgentUuid);
  const name = graph.names.get(agent.sessionAgentUuid);
  const send = async (key) => {
    await ask("Rerun", { s: session.sessionUuid, a: agent.sessionAgentUuid, key });
    say("The agent runs again.");
    onDone();
  };
  return html`<${Dialog} title="Rerun ${name}?" action="Rerun" onSend=${send} onClose=${onClose}>
    <p><strong>${name}</strong> runs again${later.size > 0 && `, and the ${plural(later.size, "agent")} after it: ${named(graph, later)}`};
      so do agents that a retry would run. Their present outputs are replaced; the runs of earlier attempts stay.</p><//>`;
}

/** Start a copy, from an agent on when one is given. */
export function Fork({ session, graph, agent, onClose }) {
  const [task, setTask] = useState(session.taskQuery ?? "");
  const [subtask, setSubtask] = useState("");
  const uuid = agent?.sessionAgentUuid;
  const again = agent ? new Set([uuid, ...after(graph, uuid)]) : null;
  const kept = graph.nodes.filter((each) => each.state === "completed" && !again?.has(each.sessionAgentUuid));
  const send = async (key) => {
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
    <${Area} label="Query of the fork" rows="4" value=${task} onChange=${setTask} />
    ${agent && html`<${Area} label="Question for ${graph.names.get(uuid)} (empty: as before)" rows="3" value=${subtask} onChange=${setSubtask} />`}<//>`;
}
