// What waits for whom: the question, a form for the answer, and one key to approve or reject.
import { useMemo, useState } from "./vendor.js";
import { ask, useWatched } from "./client.js";
import { Output } from "./text.js";
import { Ago, Badge, Empty, Missing, Problem, html, person, replace, say, to, useCursors, useKeys, useLoaded, useSending, visible } from "./ui.js";

const PAGE = 25;

export function Inbox({ query }) {
  const [cursor, pages] = useCursors();
  const { value, error } = useWatched("Inbox", { limit: PAGE, cursor, person: query.person });
  const list = value?.userInbox;
  const waiting = list?.sessionAgentList ?? [];
  const people = useMemo(() => new Set([...waiting.map((each) => each.agentAction?.userInTheLoop), query.person].filter(Boolean)), [list]);
  const chosen = waiting.find((each) => each.sessionAgentUuid === query.agent) ?? waiting[0];
  const choose = (agent) => replace(to("inbox", { ...query, agent: agent?.sessionAgentUuid }));
  useLetters((key) => {
    const step = { j: 1, k: -1 }[key];
    const next = step && waiting[waiting.indexOf(chosen) + step];
    if (next) choose(next);
  });
  return html`<main><h1>Inbox</h1>
    <div class="filters"><label>Person <select value=${query.person ?? ""}
      onChange=${(event) => replace(to("inbox", { person: event.target.value }))}><option value="">everybody</option>
      ${[...people].map((each) => html`<option key=${each} value=${each}>${each}</option>`)}</select></label>
      ${waiting.length > 1 && html`<p class="muted"><kbd>j</kbd> <kbd>k</kbd> next and previous</p>`}</div>
    <${Missing} value=${list} error=${error} />
    ${list && !waiting.length && html`<${Empty} title="Nobody is waited for"> A question appears here as soon as an agent asks a person.<//>`}
    ${chosen && html`<div class="split even"><ol class="questions">${waiting.map((each) => html`<li key=${each.sessionAgentUuid}>
        <button aria-pressed=${each === chosen} onClick=${() => choose(each)}>
          <strong>${visible(each.agentName ?? each.agentUuid ?? "")}</strong>
          <span>asks ${person(each)}</span>
          <span class="muted">${visible(each.session?.task?.taskName ?? "Without a task")}</span>
          <${Ago} time=${each.updatedAt} />
        </button></li>`)}</ol>
      <${Question} key=${chosen.sessionAgentUuid} agent=${chosen} /></div>`}
    ${pages(list?.nextCursor)}</main>`;
}

/** Call back for a letter, unless somebody writes. */
const useLetters = (onLetter) => useKeys((event) => {
  const writes = event.target.closest?.("input, textarea, select");
  if (!writes && !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat) onLetter(event.key.toLowerCase());
});

function Question({ agent }) {
  const keys = { s: agent.sessionUuid, a: agent.sessionAgentUuid };
  const [found, error, again] = useLoaded(() => ask("Output", keys), [keys.s, keys.a, agent.updatedAt]);
  const detail = found?.sessionAgent;
  return html`<article class="panel"><header><h2>${visible(agent.agentName ?? agent.agentUuid ?? "")}</h2>
      <a href=${to("session", agent.coordinationUuid, agent.sessionUuid, { agent: agent.sessionAgentUuid })}>Show the session</a></header>
    <p class="line"><${Badge} state="wait_for_user_input" label="asks ${person(agent)}" />
      ${agent.dueAt && html`<span class="muted">due <${Ago} time=${agent.dueAt} />${agent.agentAction?.defaultAnswer != null
        && html`, then the answer is <code>${visible(String(agent.agentAction.defaultAnswer))}</code>`}</span>`}</p>
    <${Problem} error=${error} again=${again} />
    ${detail?.agentOutput && !detail.question && html`<section><h3>Plan</h3><${Output} text=${detail.agentOutput} label="plan" /></section>`}
    ${detail?.agentInput && html`<section><h3>What it asks</h3><${Output} text=${detail.agentInput} label="question" /></section>`}
    <${Answer} agent=${{ ...agent, ...detail }} keyboard /></article>`;
}

// Answers

const APPROVE = /^(approved?|yes|ok|true|accept(ed)?)$/i;
const REJECT = /^(reject(ed)?|no|false|declined?|den(y|ied))$/i;

/** The answers that stand for yes and no, where a schema (or a plan) has them. */
export function twoAnswers(schema, isPlan) {
  if (isPlan) return ["approve", "reject"];
  if ([schema, ...(schema?.anyOf ?? [])].some((each) => each?.type === "boolean")) return ["true", "false"];
  const words = (schema?.enum ?? []).filter((each) => typeof each === "string");
  const found = [APPROVE, REJECT].map((pattern) => words.find((each) => pattern.test(each)));
  return words.length === 2 && found.every(Boolean) ? found : null;
}

export function Answer({ agent, onDone, keyboard }) {
  const { question } = agent;
  const schema = (question ?? agent.agentAction)?.answerSchema;
  const isPlan = !question && Boolean(agent.agentOutput);
  const asked = Object.keys(question?.details ?? {}).length > 0 && JSON.stringify(question.details); // such as tool calls
  const two = twoAnswers(schema, isPlan);
  const [send, busy, error] = useSending(async (text) => {
    await ask("Answer", { s: agent.sessionUuid, a: agent.sessionAgentUuid, text, question: question?.id });
    say("Answered.");
    onDone?.();
  });
  useLetters((key) => {
    const chosen = keyboard && two?.[{ a: 0, r: 1 }[key]];
    if (chosen) send(chosen);
  });
  return html`${asked && html`<section><h3>What it wants to do</h3><${Output} text=${asked} label="request" /></section>`}
    <section class="answer"><h3>Answer</h3>
    ${two && html`<div class="actions"><button class="approve" disabled=${busy} onClick=${() => send(two[0])}>
        <span aria-hidden="true">✓ </span>${words(two[0])} ${keyboard && html`<kbd>a</kbd>`}</button>
      <button class="danger" disabled=${busy} onClick=${() => send(two[1])}><span aria-hidden="true">✕ </span>${words(two[1])}
        ${keyboard && html`<kbd>r</kbd>`}</button></div>`}
    ${(!two || isPlan || schema?.anyOf) && html`<${Form} schema=${schema} busy=${busy} onSend=${send}
      text=${isPlan ? agent.agentOutput : ""} label=${isPlan ? "Or another plan, or reject: why" : two ? "Or why not" : "Your answer"} />`}
    <${Problem} error=${error} /></section>`;
}

const words = (text) => ({ true: "Approve", false: "Reject" }[text] ?? text[0].toUpperCase() + text.slice(1));

function Form({ schema, text, label, busy, onSend }) {
  const [value, setValue] = useState(text || initial(schema));
  return html`<form onSubmit=${(event) => { event.preventDefault(); onSend(written(schema, value)); }}><${Field} schema=${schema} value=${value} onChange=${setValue} label=${schema?.title ?? label} required />
    <div class="actions"><button class="primary" disabled=${busy}>Send the answer</button></div></form>`;
}

const FORMS = new Set(["string", "number", "integer", "boolean", "object"]);
const fits = (schema) => !schema || schema.enum || FORMS.has(schema.type ?? "string");

function initial(schema) {
  if (schema?.default !== undefined) return schema.default;
  if (schema?.type === "object" && schema.properties) {
    return Object.fromEntries(Object.entries(schema.properties).map(([key, each]) => [key, initial(each)]));
  }
  if (schema?.enum?.length === 1) return schema.enum[0];
  return schema?.type === "boolean" && !schema.enum ? false : undefined;
}

/** What is sent for what stands in the form: a text as it is, or else JSON. */
export function written(schema, value = "") {
  const isOpen = !schema || !fits(schema) || (schema.type === "object" && !schema.properties);
  const isText = typeof value === "string" && (schema?.type ?? "string") === "string";
  return isOpen || isText ? String(value) : JSON.stringify(value);
}

function Field({ schema, value, onChange, label, required }) {
  if (schema?.type === "object" && schema.properties) {
    return html`<fieldset><legend>${label}</legend>${Object.entries(schema.properties).map(([key, each]) => html`
      <${Field} key=${key} schema=${each} value=${value?.[key]} label=${each.title ?? key} required=${schema.required?.includes(key)}
        onChange=${(next) => onChange({ ...value, [key]: next })} />`)}</fieldset>`;
  }
  const note = schema?.description && html`<span class="muted">${visible(schema.description)}</span>`;
  return html`<label><span>${label}${required && " (required)"}</span> ${note}<${Input} schema=${schema} value=${value}
    onChange=${onChange} required=${required} /></label>`;
}

function Input({ schema = {}, value, onChange, required }) {
  if (schema.enum) {
    const at = schema.enum.indexOf(value);
    return html`<select value=${at < 0 ? "" : at} required=${required} onChange=${(event) => onChange(schema.enum[event.target.value])}>
      <option value="">–</option>${schema.enum.map((each, index) => html`<option value=${index}>${visible(typeof each === "string" ? each : JSON.stringify(each))}</option>`)}</select>`;
  }
  if (schema.type === "boolean") return html`<input type="checkbox" checked=${value} onChange=${({ target }) => onChange(target.checked)} />`;
  if (schema.type === "integer" || schema.type === "number") {
    return html`<input type="number" step=${schema.type === "integer" ? 1 : "any"} min=${schema.minimum} max=${schema.maximum}
      value=${value ?? ""} required=${required} onInput=${({ target }) => onChange(target.value === "" ? undefined : Number(target.value))} />`;
  }
  return html`<textarea rows="3" required=${required} maxlength=${schema.maxLength} value=${value ?? ""}
    onInput=${(event) => onChange(event.target.value)} />
    ${!fits(schema) && html`<span class="muted">as JSON</span>`}`;
}
