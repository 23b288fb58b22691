"""The GraphQL client that `ace run` and `ace demo` use. It calls the API over HTTP as any client
does.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import httpx

from ai_coordination_engine.domain.json_text import JSONObject
from ai_coordination_engine.domain.planning import planner_of
from ai_coordination_engine.domain.shapes import parse_agents
from ai_coordination_engine.entrypoints.cli.session_view import AgentView, SessionView
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile
from ai_coordination_engine.errors import BadUserInput

END = frozenset({"completed", "failed", "timeout", "cancelled"})
UPDATED_BY = "ace"
POLL_SECONDS = 0.1
QUIET_SECONDS = 2.0  # without a change, before the client asks for reasons
_ERRORS_OF_FILE = ("BAD_USER_INPUT", "TOO_COMPLEX")  # codes of errors that the file causes

_COORDINATION = """
mutation ($coordinationUuid: String!, $name: String, $description: String,
    $agents: [JSONCamelCase], $by: String!) {
  insertUpdateCoordination(coordinationUuid: $coordinationUuid, coordinationName: $name,
      coordinationDescription: $description, agents: $agents, updatedBy: $by) {
    coordination { coordinationUuid }
  }
}"""
_TASK = """
mutation ($coordinationUuid: String!, $taskUuid: String!, $name: String!, $description: String,
          $subtaskQueries: [JSONCamelCase], $agentActions: JSONCamelCase, $onFailure: String,
          $placeholders: String, $plan: Boolean, $planLimits: JSONCamelCase,
          $planFallback: String, $by: String!) {
  insertUpdateTask(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid, taskName: $name,
      taskDescription: $description, subtaskQueries: $subtaskQueries, agentActions: $agentActions,
      onFailure: $onFailure, placeholders: $placeholders, plan: $plan,
      planLimits: $planLimits, planFallback: $planFallback, updatedBy: $by) {
    task { taskUuid }
  }
}"""
_START = """
mutation ($coordinationUuid: String!, $taskUuid: String!, $taskQuery: String) {
  executeProcedureTaskSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid,
      taskQuery: $taskQuery) {
    procedureTaskSession { sessionUuid }
  }
}"""
_SESSION = """
query ($coordinationUuid: String!, $sessionUuid: String!, $withAgents: Boolean!) {
  session(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) {
    sessionUuid status logs
    sessionAgents @include(if: $withAgents) {
        sessionAgentUuid agentUuid agentAction state agentOutput notes }
  }
}"""
_AGENTS = """
query ($sessionUuid: String!, $limit: Int, $cursor: String) {
  sessionAgentList(sessionUuid: $sessionUuid, limit: $limit, cursor: $cursor) {
    sessionAgentList { sessionAgentUuid agentUuid agentAction state agentOutput notes }
    nextCursor
  }
}"""
_PENDING = """
query ($sessionUuid: String!) {
  sessionAgentList(sessionUuid: $sessionUuid, states: ["pending"], limit: 10) {
    sessionAgentList { sessionAgentUuid whyNotRunning { code message } }
  }
}"""
_PAGE = 1000
_ANSWER = """
mutation ($sessionUuid: String!, $sessionAgentUuid: String!, $userInput: String!) {
  executeForUserInput(sessionUuid: $sessionUuid, sessionAgentUuid: $sessionAgentUuid,
      userInput: $userInput) { ok }
}"""


_INPUT = """
query ($sessionUuid: String!, $sessionAgentUuid: String!) {
  sessionAgent(sessionUuid: $sessionUuid, sessionAgentUuid: $sessionAgentUuid) { agentInput }
}"""
_OPEN = """
query ($statuses: [String]) {
  sessionList(statuses: $statuses, limit: 20) { sessionList { sessionUuid status task {
      taskName } } }
}"""
_OPEN_STATUSES = ("dispatched", "in_progress", "in_transit", "paused")


class ApiError(Exception):
    """The API returned errors or did not answer; `code` is that of the first error."""

    def __init__(self, message: str, code: str = "", messages: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.messages = messages


class Client:
    """Runs run files through the API at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._by_pages = False
        self.warnings: list[str] = []  # warnings of the API
        # Ignore proxies: the server is on loopback.
        self._http = httpx.Client(trust_env=False, timeout=30)

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def execute(self, document: str, **variables: object) -> JSONObject:
        """Return the data of a GraphQL request; raises `ApiError`."""
        try:
            response = self._http.post(self._url, json={"query": document, "variables": variables})
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(f"The API does not answer: {error}") from error
        if errors := answer.get("errors"):
            code = str((errors[0].get("extensions") or {}).get("code", ""))
            messages = [str(error.get("message")) for error in errors]
            raise ApiError("; ".join(messages), code, messages)
        self.warnings += (answer.get("extensions") or {}).get("warnings") or []
        data: JSONObject = answer["data"]
        return data

    def begin(self, run: RunFile, tell: Callable[[str], object]) -> str:
        """Start a session and return its uuid; pass each warning, with its place in the file, to
        `tell`.

        Raises `BadUserInput` with places for problems of this file, and `ApiError` for all others.
        """
        try:
            return self.start(run)
        except ApiError as error:
            if error.code not in _ERRORS_OF_FILE:
                raise
            lines = [line for each in error.messages for line in run.located(each)]
            raise BadUserInput("\n".join(lines)) from error
        finally:
            for warning in dict.fromkeys(self.warnings):
                for line in run.located(warning, "warning: "):
                    tell(line)

    def start(self, run: RunFile) -> str:
        """Save the coordination and the task, start a session, and return its uuid."""
        ids = {"coordinationUuid": run.coordination_uuid, "taskUuid": run.task_uuid}
        self.execute(
            _COORDINATION,
            coordinationUuid=run.coordination_uuid,
            name=run.coordination_name,
            description=run.coordination_description,
            agents=run.agents,
            by=UPDATED_BY,
        )
        self.execute(
            _TASK,
            **ids,
            name=run.task_name,
            description=run.task_description,
            subtaskQueries=run.subtask_queries,
            agentActions=run.agent_actions,
            onFailure=run.on_failure or "fail_fast",
            placeholders=run.placeholders or "warn",
            plan=run.plan,
            planLimits=run.plan_limits,
            planFallback=run.plan_fallback,
            by=UPDATED_BY,
        )
        data = self.execute(_START, **ids, taskQuery=run.task_query)
        return str(data["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"])

    def session(self, run: RunFile, session_uuid: str) -> SessionView:
        """Return the session and its agents; raises `ApiError`."""
        session = self._session(run.coordination_uuid, session_uuid)
        if session is None:
            raise ApiError(f"The session {session_uuid} no longer exists.")
        if self._by_pages:
            session["sessionAgents"] = list(self._agents(session_uuid))
        names = {
            agent["agent_uuid"]: agent.get("agent_name") or agent["agent_uuid"]
            for agent in run.agents
        }
        return SessionView(
            session_uuid, session["status"], session["logs"], _agents(session, names, _planner(run))
        )

    def _session(self, coordination_uuid: str, session_uuid: str) -> JSONObject | None:
        """Return the session, without its agents if they are too many or too large for
        one request.
        """
        keys = {"coordinationUuid": coordination_uuid, "sessionUuid": session_uuid}
        try:
            session = self.execute(_SESSION, **keys, withAgents=not self._by_pages)["session"]
        except ApiError as error:
            if error.code != "TOO_COMPLEX" or self._by_pages:
                raise
            self._by_pages = True
            return self._session(coordination_uuid, session_uuid)
        return session  # type: ignore[no-any-return]

    def _agents(self, session_uuid: str) -> Iterator[JSONObject]:
        limit, cursor = _PAGE, None
        while True:
            try:
                answer = self.execute(_AGENTS, sessionUuid=session_uuid, limit=limit, cursor=cursor)
            except ApiError as error:
                if error.code != "TOO_COMPLEX" or limit == 1:
                    raise
                limit = max(limit // 4, 1)
                continue
            page = answer["sessionAgentList"]
            yield from page["sessionAgentList"]
            cursor = page["nextCursor"]
            if cursor is None:
                return

    def follow(
        self, run: RunFile, session_uuid: str, seen: Callable[[SessionView], None]
    ) -> SessionView:
        """Pass each new state of the session to `seen` until it ends or waits for a person.

        Returns the last state.
        """
        pause = threading.Event()
        states: list[str] | None = None
        last = 0.0  # when a state was last shown
        while True:
            asked = time.monotonic()
            view = self.session(run, session_uuid)
            before, states = states, [agent.state for agent in view.agents]
            if states != before or asked - last >= QUIET_SECONDS:
                seen(
                    self.with_reasons(view)
                    if states == before and "executing" not in states
                    else view
                )
                last = asked
            if view.status in END or view.waiting:
                return view
            # Poll large sessions less often, so that polling does not slow them down.
            pause.wait(max(POLL_SECONDS, 4 * (time.monotonic() - asked)))

    def with_reasons(self, view: SessionView) -> SessionView:
        """Return the session with the reason why each of the first pending agents does not run.

        Agents that are about to run have no reason, since the worker is in this process.
        """
        rows = self.execute(_PENDING, sessionUuid=view.session_uuid)["sessionAgentList"][
            "sessionAgentList"
        ]
        reasons = {row["sessionAgentUuid"]: row["whyNotRunning"] for row in rows}
        why = {
            uuid: each["message"]
            for uuid, each in reasons.items()
            if each["code"] != "WAITS_FOR_WORKER"
        }
        return replace(
            view,
            agents=[replace(each, why=why.get(each.session_agent_uuid)) for each in view.agents],
        )

    def agent_input(self, session: SessionView, agent: AgentView) -> str:
        """Return the input of a waiting agent: its subtask and its predecessors' outputs."""
        data = self.execute(
            _INPUT, sessionUuid=session.session_uuid, sessionAgentUuid=agent.session_agent_uuid
        )
        return str((data["sessionAgent"] or {}).get("agentInput") or "")

    def open_sessions(self) -> list[str]:
        """Return the newest sessions that have not ended, each as a text for people."""
        rows = self.execute(_OPEN, statuses=list(_OPEN_STATUSES))["sessionList"]["sessionList"]
        return [
            f"{row['sessionUuid']} ({(row['task'] or {}).get('taskName') or 'no task'},"
            f" {row['status']})"
            for row in rows
        ]

    def answer(self, session: SessionView, agent: AgentView, text: str) -> None:
        """Send the answer that an agent waits for."""
        self.execute(
            _ANSWER,
            sessionUuid=session.session_uuid,
            sessionAgentUuid=agent.session_agent_uuid,
            userInput=text,
        )


def _planner(run: RunFile) -> str | None:
    """The uuid of the agent that plans the session, or writes its subtasks; None if the task does
    not say `plan`.
    """
    planner = planner_of(parse_agents(run.agents)) if run.plan else None
    return planner.agent_uuid if planner else None


def _agents(session: JSONObject, names: dict[str, str], planner: str | None) -> list[AgentView]:
    rows = session["sessionAgents"] or []
    waited_for = {each for row in rows for each in _waits_for(_action(row))}
    if planner is not None and len(rows) > 1:
        waited_for.add(planner)
    agents = []
    for row, name, is_element in _named(rows, names):
        step = _step(_action(row)).get("id")
        is_final = (row["agentUuid"] if step is None else step) not in waited_for
        agents.append(_agent(row, name, final=is_final and not is_element))
    return agents


def _named(
    rows: Sequence[JSONObject], names: dict[str, str]
) -> Iterator[tuple[JSONObject, str, bool]]:
    """Yield each agent with its name, and whether it is an element of a map.

    An element is not final: the output of its map contains the outputs of its elements.
    """
    maps = {row["agentUuid"] for row in rows if _action(row).get("map")}
    elements: Counter[str] = Counter()
    for row in rows:
        uuid = row["agentUuid"]
        name: str = names.get(uuid) or uuid
        is_element = uuid in maps and not _action(row).get("map")
        if is_element:
            name = f"{name}[{elements[uuid]}]"
            elements[uuid] += 1
        yield row, name, is_element


def _waits_for(action: JSONObject) -> Iterator[str]:
    """Yield the uuids of the agents that an agent waits for; a step of a plan waits for steps."""
    before = _step(action).get("after")
    yield from (action.get("predecessors") or ()) if before is None else before


def _step(action: JSONObject) -> JSONObject:
    return action.get("planStep") or {}


def _agent(row: JSONObject, name: str, *, final: bool) -> AgentView:
    return AgentView(
        session_agent_uuid=row["sessionAgentUuid"],
        agent_uuid=row["agentUuid"],
        name=name,
        state=row["state"] or "initial",
        output=row["agentOutput"],
        notes=row["notes"],
        asks=_action(row).get("userInTheLoop"),
        final=final,
        default_answer=_action(row).get("defaultAnswer"),
    )


def _action(row: JSONObject) -> JSONObject:
    return row["agentAction"] or {}
