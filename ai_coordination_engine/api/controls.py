"""The mutations that steer what runs: sessions, agents, and long jobs that report from elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.content import check_arguments
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.scalars import JSONCamelCase
from ai_coordination_engine.api.types import SessionAgentType, SessionType
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine import async_tasks, control, fork, reconcile, restart
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session

Steer = Callable[..., Session]
_SESSION = ("coordination_uuid", "session_uuid")


def _mutation(name: str, doc: str, arguments: Mapping[str, Any], output: Mapping[str, Any], mutate: Any) -> Any:
    body = {"Arguments": type("Arguments", (), dict(arguments)), "mutate": mutate, "__doc__": doc, **output}
    return type(name, (graphene.Mutation,), body)


def _steering(
    name: str,
    doc: str,
    steer: Steer,
    required: tuple[str, ...] = _SESSION,
    optional: Mapping[str, Any] | None = None,
    odd: Callable[[Any, Mapping[str, Any]], str | None] = lambda session, given: None,
) -> Any:
    """A mutation that hands its arguments to the engine and answers with the session as it is then.

    The same `idempotencyKey` again has no effect. `odd` says what to warn of.
    """
    arguments = {
        **{each: graphene.String(required=True) for each in required},
        **(optional or {}),
        "updated_by": graphene.String(),
        "idempotency_key": graphene.String(),
    }

    async def mutate(root: Any, info: GraphQLResolveInfo, **given: Any) -> Any:
        context: Context = info.context
        check_arguments(given)
        keys = [given.pop(each) for each in required]
        session = await context.change(steer, context.app, context.tenant, *keys, **given)
        if warning := odd(session, given):
            context.warn(warning)
        return {"session": session}

    return _mutation(name, doc, arguments, {"session": graphene.Field(SessionType)}, mutate)


def _idle(fork: Any, given: Mapping[str, Any]) -> str | None:
    """What is said of a fork in which nothing runs although its input was changed."""
    inputs = {"task_query": "taskQuery", "input_files": "inputFiles"}
    changed = [shown for name, shown in inputs.items() if given.get(name) is not None]
    if fork.status not in TERMINAL_SESSION_STATUSES or not changed:
        return None
    return (
        f"Nothing runs in the fork, all results were taken over: {' and '.join(changed)} changes only what runs. "
        "Name where it begins with fromSessionAgentUuid."
    )


def _reconcile(
    app: Any, tenant: str, *key: str, updated_by: str | None = None, idempotency_key: str | None = None
) -> Any:
    """Reconciling has the same effect however often it is done: it needs no key."""
    return reconcile.reconcile_session(app, tenant, *key)


class CompleteAsyncTask(graphene.Mutation):
    """End a long job with its result or its error, and resume the agent that waits for it. Again has no effect."""

    class Arguments:  # the arguments are in the schema
        async_task_uuid = graphene.String(required=True)
        result = graphene.String()
        error = graphene.String()
        usage = JSONCamelCase()

    ok = graphene.Boolean()
    session_agent = graphene.Field(SessionAgentType)

    @staticmethod
    async def mutate(root: Any, info: GraphQLResolveInfo, async_task_uuid: str, **given: Any) -> Any:
        """Answers when the agent's message is accepted."""
        context: Context = info.context
        check_arguments({"async_task_uuid": async_task_uuid})
        if not isinstance(given.get("usage"), dict | None):
            raise BadUserInput("usage must be an object or null.")
        await context.change(async_tasks.complete_async_task, context.app, context.tenant, async_task_uuid, **given)
        return CompletedAsyncTask(async_task_uuid)

    @staticmethod
    async def resolve_session_agent(done: Any, info: GraphQLResolveInfo) -> Any:
        """The agent that waited for it."""
        context: Context = info.context
        task = await context.call(context.app.async_tasks.get, context.tenant, done.async_task_uuid)
        if task is None:
            return None
        return await context.loaders.session_agent.load((task.agent_session_uuid, task.session_agent_uuid))


class CompletedAsyncTask:
    """What `completeAsyncTask` answers."""

    ok = True

    def __init__(self, async_task_uuid: str) -> None:
        self.async_task_uuid = async_task_uuid


class HeartbeatAsyncTask(graphene.Mutation):
    """Say that a long job is still at work, so that its deadline begins anew."""

    class Arguments:  # the arguments are in the schema
        async_task_uuid = graphene.String(required=True)

    ok = graphene.Boolean()

    @staticmethod
    async def mutate(root: Any, info: GraphQLResolveInfo, async_task_uuid: str) -> Any:
        """Answers when the new deadline is written."""
        context: Context = info.context
        check_arguments({"async_task_uuid": async_task_uuid})
        await context.change(async_tasks.heartbeat, context.app, context.tenant, async_task_uuid)
        return {"ok": True}


CONTROLS: Mapping[str, Any] = {
    "cancel_session": _steering(
        "CancelSession",
        "End a session now; late results of its attempts change nothing.",
        control.cancel_session,
    ),
    "pause_session": _steering(
        "PauseSession",
        "Let nothing more begin in a session; attempts that run go on to their end.",
        control.pause_session,
    ),
    "resume_session": _steering("ResumeSession", "Let a paused session go on.", control.resume_session),
    "retry_session": _steering(
        "RetrySession",
        "Run again what failed, was skipped or cancelled; what completed stays.",
        restart.retry_session,
    ),
    "reconcile_session": _steering(
        "ReconcileSession", "Send again every message that the session owes; harmless at any time.", _reconcile
    ),
    "rerun_session_agent": _steering(
        "RerunSessionAgent",
        "Run one agent again, and everything that follows from it.",
        restart.rerun_session_agent,
        required=("session_uuid", "session_agent_uuid"),
    ),
    "fork_session": _steering(
        "ForkSession",
        "Start a new session from a point of this one, with changed input.",
        fork.fork_session,
        optional={
            "from_session_agent_uuid": graphene.String(),
            "task_query": graphene.String(),
            "subtask_query": graphene.String(),
            "input_files": graphene.List(JSONCamelCase),
            "new_session_uuid": graphene.String(),
            "user_id": graphene.String(),
        },
        odd=_idle,
    ),
    "complete_async_task": CompleteAsyncTask,
    "heartbeat_async_task": HeartbeatAsyncTask,
}
"""The mutations by name."""
