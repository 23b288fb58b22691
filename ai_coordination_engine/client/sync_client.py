"""The client. Made from `async_client.py` by `make client`: do not edit."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

from ai_coordination_engine.client import operations, views
from ai_coordination_engine.client.errors import NotFound, NotOffered, TooComplex
from ai_coordination_engine.client.keys import OfAgent, OfSession
from ai_coordination_engine.client.model import Json
from ai_coordination_engine.client.operation import UNSET, Unset
from ai_coordination_engine.client.records import (
    AgentOutput,
    AskOperationHub,
    ProcedureTaskSession,
    Session,
    SessionAgent,
)
from ai_coordination_engine.client.sync_calls import Calls
from ai_coordination_engine.client.views import Question, SessionView
from ai_coordination_engine.domain.ids import new_uuid

T = TypeVar("T")
_UPDATED_BY = "python-client"
_POLL_SECONDS = 0.2
_SHORTEST_WAIT, _LONGEST_WAIT = 0.05, 10.0  # seconds
_PAGE = 1000  # agents of a session too large for one request


class Client(Calls):
    """Calls the API at `url` for one tenant. Close it, or use it as a context.

    `url` is the address of a server or its whole endpoint. `tenant` is an endpoint id, or
    `endpoint_id#part_id`. `token` is a bearer token, or a function that returns the present one;
    `auth` is any other authentication of httpx. `timeout` is in seconds. Subscriptions use
    server-sent events, or the WebSocket at `websocket_url`, which AWS needs. Warnings of the API
    go to `on_warning`, by default to the log `ai_coordination_engine.client`. Methods raise
    `ApiError`.
    """

    def start(
        self,
        coordination_uuid: str,
        task_uuid: str,
        task_query: str | Unset | None = UNSET,
        *,
        input_files: list[Json] | Unset = UNSET,
        user_id: str | Unset = UNSET,
        session_uuid: str | None = None,
    ) -> ProcedureTaskSession:
        """Start a session of a task; a retry returns the same session."""
        return self.send(
            operations.execute_procedure_task_session(
                coordination_uuid=coordination_uuid,
                task_uuid=task_uuid,
                task_query=task_query,
                input_files=input_files,
                user_id=user_id,
                session_uuid=session_uuid or new_uuid(datetime.now(UTC)),
            )
        )

    def session(self, coordination_uuid: str, session_uuid: str) -> SessionView:
        """Return a session with its agents; raises `NotFound`."""
        try:
            found = self.send(views.session_view(coordination_uuid, session_uuid))
        except TooComplex:
            found = self._session_by_pages(coordination_uuid, session_uuid)
        if found is None:
            raise _not_found(session_uuid)
        return found

    def wait(
        self, coordination_uuid: str, session_uuid: str, *, timeout: float | None = None
    ) -> SessionView:
        """Return a session when it has ended, with whatever status.

        It asks after growing pauses, so that the end is seen late by at most a tenth of the time.
        Raises `TimeoutError` after `timeout` seconds.
        """
        session = operations.session(coordination_uuid=coordination_uuid, session_uuid=session_uuid)
        began = time.monotonic()
        while True:
            found = self.send(session)
            if found is None or found.status in views.ENDED:
                return self.session(coordination_uuid, session_uuid)
            elapsed = time.monotonic() - began
            left = float("inf") if timeout is None else timeout - elapsed
            if left <= 0:
                raise TimeoutError(
                    f"the session {session_uuid} is {found.status} after {timeout} s"
                )
            time.sleep(min(max(elapsed / 10, _SHORTEST_WAIT), _LONGEST_WAIT, left))

    def watch(self, coordination_uuid: str, session_uuid: str) -> Generator[SessionView]:
        """Yield a session as it is, and again whenever it has changed, until it has ended.

        It asks again and again if the server offers no subscriptions, or the session is too large
        for one answer. Raises `NotFound` if the session does not exist.
        """
        operation = views.session_view(coordination_uuid, session_uuid, "subscription")
        last: SessionView | None = None
        try:
            with closing(self.subscribe(operation)) as found:
                for view in found:
                    if view is None:
                        raise _not_found(session_uuid)
                    if view != last:
                        yield view
                        last = view
            return
        except (NotOffered, TooComplex):
            pass
        while last is None or not last.has_ended:
            asked = time.monotonic()
            view = self.session(coordination_uuid, session_uuid)
            if view != last:
                yield view
                last = view
            time.sleep(max(_POLL_SECONDS, 4 * (time.monotonic() - asked)))

    def output(self, agent: OfAgent) -> Generator[AgentOutput]:
        """Yield the text of an agent in parts, while it is written, until the agent has ended.

        A new `attempt` begins the text anew. The whole text is the agent's `agent_output`.
        """
        operation = operations.subscribe_agent_output(
            session_uuid=agent.session_uuid, session_agent_uuid=agent.session_agent_uuid
        )
        with closing(self.subscribe(operation)) as parts:
            for part in parts:
                if part is None:
                    raise NotFound(f"the session agent {agent.session_agent_uuid} does not exist")
                yield part

    def sessions(
        self,
        *,
        coordination_uuid: str | Unset = UNSET,
        task_uuid: str | Unset = UNSET,
        user_id: str | Unset = UNSET,
        statuses: Sequence[str] | Unset = UNSET,
    ) -> Generator[Session]:
        """Yield sessions, the latest first."""
        operation = operations.session_list(
            coordination_uuid=coordination_uuid,
            task_uuid=task_uuid,
            user_id=user_id,
            statuses=statuses if isinstance(statuses, Unset) else list(statuses),
        )
        return self.records(operation)

    def inbox(
        self, user: str | None = None, *, coordination_uuid: str | None = None
    ) -> Generator[Question]:
        """Yield the agents that wait for an answer, of one person or of all, the latest first."""
        return self.records(views.inbox(user, coordination_uuid))

    def answer(self, question: OfAgent, text: str) -> None:
        """Answer an agent that waits for a person."""
        self.send(
            operations.execute_for_user_input(
                session_uuid=question.session_uuid,
                session_agent_uuid=question.session_agent_uuid,
                user_input=text,
                question_id=views.id_of(question),
            )
        )

    def ask(
        self,
        coordination_uuid: str,
        user_query: str,
        *,
        agent_uuid: str | Unset = UNSET,
        session_uuid: str | Unset = UNSET,
        thread_uuid: str | Unset = UNSET,
        user_id: str | Unset = UNSET,
        when_busy: str | Unset = UNSET,
    ) -> AskOperationHub:
        """Ask one agent a question. It is not retried: the API would ask it twice."""
        return self.send(
            operations.ask_operation_hub(
                coordination_uuid=coordination_uuid,
                user_query=user_query,
                agent_uuid=agent_uuid,
                session_uuid=session_uuid,
                thread_uuid=thread_uuid,
                user_id=user_id,
                when_busy=when_busy,
            )
        )

    def cancel(self, session: OfSession, *, by: str = _UPDATED_BY) -> Session:
        """Cancel a session."""
        return self.send(operations.cancel_session(**_control(session, by)))

    def pause(self, session: OfSession, *, by: str = _UPDATED_BY) -> Session:
        """Pause a session: no further attempt begins."""
        return self.send(operations.pause_session(**_control(session, by)))

    def resume(self, session: OfSession, *, by: str = _UPDATED_BY) -> Session:
        """Continue a paused session."""
        return self.send(operations.resume_session(**_control(session, by)))

    def retry(self, session: OfSession, *, by: str = _UPDATED_BY) -> Session:
        """Run again the agents that failed, were skipped or cancelled."""
        return self.send(operations.retry_session(**_control(session, by)))

    def rerun(self, agent: OfAgent, *, by: str = _UPDATED_BY) -> Session:
        """Run one agent of an ended session and all that depend on it again."""
        return self.send(
            operations.rerun_session_agent(
                session_uuid=agent.session_uuid,
                session_agent_uuid=agent.session_agent_uuid,
                idempotency_key=str(uuid4()),
                updated_by=by,
            )
        )

    def fork(
        self,
        session: OfSession,
        *,
        from_session_agent_uuid: str | Unset = UNSET,
        task_query: str | Unset = UNSET,
        subtask_query: str | Unset = UNSET,
        input_files: list[Json] | Unset = UNSET,
        new_session_uuid: str | None = None,
        by: str = _UPDATED_BY,
    ) -> Session:
        """Start a copy of a session that runs from a given agent on, with changed input."""
        return self.send(
            operations.fork_session(
                coordination_uuid=session.coordination_uuid,
                session_uuid=session.session_uuid,
                from_session_agent_uuid=from_session_agent_uuid,
                task_query=task_query,
                subtask_query=subtask_query,
                input_files=input_files,
                new_session_uuid=new_session_uuid or new_uuid(datetime.now(UTC)),
                updated_by=by,
            )
        )

    def _session_by_pages(self, coordination_uuid: str, session_uuid: str) -> SessionView | None:
        """Return a session whose agents are too many or too large for one answer."""
        session = self.send(
            operations.session(coordination_uuid=coordination_uuid, session_uuid=session_uuid)
        )
        if session is None:
            return None
        agents: list[SessionAgent] = []
        limit = _PAGE
        cursor: str | Unset = UNSET
        while True:
            listed = operations.session_agent_list(
                session_uuid=session_uuid, limit=limit, cursor=cursor
            )
            try:
                page = self.send(listed)
            except TooComplex:
                if limit == 1:
                    raise
                limit = max(limit // 4, 1)
                continue
            agents += page.records
            if page.next_cursor is None:
                break
            cursor = page.next_cursor
        return SessionView.model_construct(**dict(session), session_agents=agents)


def _not_found(session_uuid: str) -> NotFound:
    return NotFound(f"the session {session_uuid} does not exist")


def _control(session: OfSession, by: str) -> dict[str, Any]:
    """Return the arguments of a control; its key makes a retry safe."""
    return {
        "coordination_uuid": session.coordination_uuid,
        "session_uuid": session.session_uuid,
        "idempotency_key": str(uuid4()),
        "updated_by": by,
    }
