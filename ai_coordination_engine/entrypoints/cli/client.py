"""The client of the command line: that of the API, and what run files and people on a terminal need
beyond it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ai_coordination_engine.client import ApiError, Retries, TooComplex, Unreachable
from ai_coordination_engine.client import BadUserInput as Refused
from ai_coordination_engine.client import Client as ApiClient
from ai_coordination_engine.client import SessionView as Found
from ai_coordination_engine.domain.planning import planner_of
from ai_coordination_engine.domain.shapes import parse_agents
from ai_coordination_engine.entrypoints.cli.quiet import Quiet
from ai_coordination_engine.entrypoints.cli.session_view import SessionView, Why, view_of
from ai_coordination_engine.entrypoints.cli.tokens import Tokens
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile
from ai_coordination_engine.errors import BadUserInput

UPDATED_BY = "ace"
QUIET_SECONDS = 2.0  # without a change, before the client asks for reasons
_REASONS = 50  # agents whose reasons are read
_OPEN_STATUSES = ("dispatched", "in_progress", "in_transit", "paused")

_COORDINATION = """
mutation ($coordinationUuid: String!, $name: String, $description: String,
    $agents: [JSONCamelCase], $budget: JSONCamelCase, $by: String!) {
  insertUpdateCoordination(coordinationUuid: $coordinationUuid, coordinationName: $name,
      coordinationDescription: $description, agents: $agents, budget: $budget,
      updatedBy: $by) {
    coordination { coordinationUuid }
  }
}"""
_TASK = """
mutation ($coordinationUuid: String!, $taskUuid: String!, $name: String!, $description: String,
          $subtaskQueries: [JSONCamelCase], $agentActions: JSONCamelCase, $onFailure: String,
          $placeholders: String, $plan: Boolean, $planLimits: JSONCamelCase,
          $planFallback: String, $exposeAs: JSONCamelCase, $budget: JSONCamelCase,
          $by: String!) {
  insertUpdateTask(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid, taskName: $name,
      taskDescription: $description, subtaskQueries: $subtaskQueries, agentActions: $agentActions,
      onFailure: $onFailure, placeholders: $placeholders, plan: $plan,
      planLimits: $planLimits, planFallback: $planFallback, exposeAs: $exposeAs,
      budget: $budget, updatedBy: $by) {
    task { taskUuid }
  }
}"""
_STATES = ("initial", "pending")
_REASONED = """
query ($sessionUuid: String!, $states: [String], $limit: Int) {
  sessionAgentList(sessionUuid: $sessionUuid, states: $states, limit: $limit) {
    sessionAgentList { sessionAgentUuid whyNotRunning { code message } }
  }
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


class LocalRetries(Retries):
    """The retries of calls to this machine: a server that is not there is reported at once."""

    def pause(
        self, error: ApiError, attempt: int, elapsed: float, *, repeatable: bool
    ) -> float | None:
        """Return the seconds until the next attempt; None if there is none."""
        if isinstance(error, Unreachable):
            return None
        return super().pause(error, attempt, elapsed, repeatable=repeatable)


class Client(ApiClient):
    """Runs run files, and shows sessions, through the API at `url`.

    Its options are those of the client of the API. `warnings` are those that the API gave.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self.warnings: list[str] = []
        super().__init__(url, on_warning=self.warnings.append, **options)
        self._tokens = Tokens(self.execute)

    def begin(self, run: RunFile, tell: Callable[[str], object]) -> str:
        """Start a session and return its uuid; pass each warning, with its place in the file, to
        `tell`.

        Raises `BadUserInput` with places for problems of this file, and `ApiError` for all others.
        """
        try:
            return self.start_file(run)
        except (Refused, TooComplex) as error:
            messages = [each.message for each in error.problems] or [error.message]
            lines = [line for each in messages for line in run.located(each)]
            raise BadUserInput("\n".join(lines)) from error
        finally:
            for warning in dict.fromkeys(self.warnings):
                for line in run.located(warning, "warning: "):
                    tell(line)
            self.warnings.clear()

    def start_file(self, run: RunFile) -> str:
        """Save the coordination and the task, start a session, and return its uuid."""
        ids = {"coordinationUuid": run.coordination_uuid, "taskUuid": run.task_uuid}
        coordination: dict[str, object] = {
            "coordinationUuid": run.coordination_uuid,
            "name": run.coordination_name,
            "description": run.coordination_description,
            "agents": run.agents,
            "by": UPDATED_BY,
        }
        if run.coordination_budget is not None:  # else it keeps the one that it has
            coordination["budget"] = run.coordination_budget
        self.execute(_COORDINATION, coordination, repeatable=True)
        task = {
            "name": run.task_name,
            "description": run.task_description,
            "subtaskQueries": run.subtask_queries,
            "agentActions": run.agent_actions,
            "onFailure": run.on_failure or "fail_fast",
            "placeholders": run.placeholders or "warn",
            "plan": run.plan,
            "planLimits": run.plan_limits,
            "planFallback": run.plan_fallback,
            "exposeAs": run.expose_as,
            "budget": run.budget,
            "by": UPDATED_BY,
        }
        self.execute(_TASK, ids | task, repeatable=True)
        started = self.start(run.coordination_uuid, run.task_uuid, run.task_query)
        return str(started.session_uuid)

    def view(
        self, coordination_uuid: str, session_uuid: str, planner: str | None = None
    ) -> SessionView:
        """Return a session with its tokens; raises `NotFound`."""
        return self._detailed(self.session(coordination_uuid, session_uuid), planner)

    def follow(
        self, run: RunFile, session_uuid: str, seen: Callable[[SessionView], None]
    ) -> SessionView:
        """Pass each new state of a session of the file to `seen` until it ends or waits for a
        person. Returns the last state.
        """
        planner = planner_of_file(run)
        for view in self.views(run.coordination_uuid, session_uuid, seen, planner):
            if view.waiting:
                return view
        return self.view(run.coordination_uuid, session_uuid, planner)

    def views(
        self,
        coordination_uuid: str,
        session_uuid: str,
        seen: Callable[[SessionView], None],
        planner: str | None = None,
    ) -> Iterator[SessionView]:
        """Yield a session, after `seen` has shown it, whenever it has changed, until it has ended.

        While nothing changes and no agent runs, `seen` is called with the reasons.
        """
        with Quiet(QUIET_SECONDS, lambda view: seen(self.with_reasons(view))) as quiet:
            for found in self.watch(coordination_uuid, session_uuid):
                view = self._detailed(found, planner)
                with quiet.showing:
                    seen(view)
                quiet.since(view if view.is_idle else None)
                yield view

    def with_reasons(self, view: SessionView) -> SessionView:
        """Return the session with the reason why each of the first pending agents does not run.

        Agents that only wait for a worker have none: they are about to run.
        """
        reasons = self.reasons(view.session.session_uuid)
        return view.with_reasons(
            {uuid: why for uuid, why in reasons.items() if why.code != "WAITS_FOR_WORKER"}
        )

    def reasons(self, session_uuid: str, states: Sequence[str] = _STATES) -> dict[str, Why]:
        """Return why the first agents of a session that are in these states do not run, by uuid."""
        asked = {"sessionUuid": session_uuid, "states": [*states], "limit": _REASONS}
        rows = self.execute(_REASONED, asked)["sessionAgentList"]["sessionAgentList"]
        return {
            row["sessionAgentUuid"]: Why(**row["whyNotRunning"])
            for row in rows
            if row["whyNotRunning"]
        }

    def _detailed(self, found: Found, planner: str | None) -> SessionView:
        """The view of a session, with the tokens of its agents."""
        return view_of(found, self._tokens.of(found), planner)

    def agent_input(self, session_uuid: str, session_agent_uuid: str) -> str:
        """Return the input of a waiting agent: its subtask and its predecessors' outputs."""
        keys = {"sessionUuid": session_uuid, "sessionAgentUuid": session_agent_uuid}
        return str((self.execute(_INPUT, keys)["sessionAgent"] or {}).get("agentInput") or "")

    def open_sessions(self) -> list[str]:
        """Return the newest sessions that have not ended, each as a text for people."""
        found = self.execute(_OPEN, {"statuses": list(_OPEN_STATUSES)})
        return [
            f"{row['sessionUuid']} ({(row['task'] or {}).get('taskName') or 'no task'},"
            f" {row['status']})"
            for row in found["sessionList"]["sessionList"]
        ]


def planner_of_file(run: RunFile) -> str | None:
    """Return the uuid of the agent that plans the session, or writes its subtasks; None if the task
    does not say `plan`.
    """
    planner = planner_of(parse_agents(run.agents)) if run.plan else None
    return planner.agent_uuid if planner else None
