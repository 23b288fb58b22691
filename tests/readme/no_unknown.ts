// Compiles only if no part of the generated types is `unknown` or `any`, and if a misspelt status or phase is an error.
import { graphql } from "./gql";
import type { PhasesQuery, SessionAgentPhase, SessionsQuery, SessionsQueryVariables, SessionStatus } from "./gql/graphql";
import type { Json } from "./json";
import { lines } from "./sessions";

type Untyped<T> = unknown extends T
  ? true
  : [Json] extends [T]
    ? false
    : T extends readonly (infer Item)[]
      ? Untyped<Item>
      : T extends object
        ? { [Key in keyof T]-?: Untyped<T[Key]> }[keyof T]
        : false;
type Typed<T> = true extends Untyped<T> ? "no" : "yes";

export const found: [Typed<SessionsQuery>, Typed<SessionsQueryVariables>] = ["yes", "yes"];
export const check: [Typed<{ a: { b: unknown }[] }>, Typed<{ a: any }>] = ["no", "no"];

type Session = NonNullable<NonNullable<NonNullable<SessionsQuery["sessionList"]>["sessionList"]>[number]>;

export function isPaused(session: Session): boolean {
  // @ts-expect-error: no status has this name
  if (session.status === "pausd") return true;
  const actions: Json | undefined = session.task?.agentActions;
  const status: SessionStatus = session.status;
  return status === "paused" && actions !== undefined && lines({ sessionList: null }).length === 0;
}

export const PHASES = graphql(`
  query Phases($session: String!) {
    sessionAgentList(sessionUuid: $session) { sessionAgentList { id phase } }
  }
`);
type Agent = NonNullable<NonNullable<NonNullable<PhasesQuery["sessionAgentList"]>["sessionAgentList"]>[number]>;

export function isAsked(agent: Agent): boolean {
  // @ts-expect-error: on the wire it has spaces
  if (agent.phase === "waiting_for_a_person") return true;
  const phase: SessionAgentPhase | null | undefined = agent.phase;
  return phase === "waiting for a person";
}
