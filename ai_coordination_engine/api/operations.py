"""The operations of the API other than CRUD: starting and asking, answers, controls, long jobs."""

from collections.abc import Mapping, Sequence

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.operation import Operation, of_session, of_success
from ai_coordination_engine.api.prices import START, WRITE
from ai_coordination_engine.api.schedule_operations import SCHEDULE_OPERATIONS
from ai_coordination_engine.api.types import (
    AskOperationHubType,
    ProcedureTaskSessionType,
    SessionAgentType,
)
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.statuses import TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.control import controls as control
from ai_coordination_engine.engine.control import reconcile, restart
from ai_coordination_engine.engine.planning import fork
from ai_coordination_engine.engine.planning.ask import Question, ask
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.engine.waits import async_tasks
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.errors import BadUserInput


def ping() -> graphene.Field:
    """Return the query `ping`, which reads no store."""
    return graphene.String(
        resolver=lambda root, info: f"Hello at {info.context.app.clock.now().isoformat()}",
    )


# Starting, answering, asking


def _start(context: Context, start: Start) -> object:
    now = context.app.clock.now()
    session = execute_procedure(context.app, context.tenant, start, context.warn, context.trace)
    context.reading.records.seen(session.first_agent)
    if session.created_at >= now:  # this start made the session, not an earlier equal one
        context.just_started.add(session.key)
    return session


@dataclass(frozen=True)
class AnswerRequest:
    """The arguments of `executeForUserInput`.

    `idempotency_key` has no effect, because repeating the answer is recognised.
    """

    session_uuid: str
    session_agent_uuid: str
    user_input: str
    question_id: str | None = None
    idempotency_key: str | None = None


def _answer(context: Context, given: AnswerRequest) -> None:
    agent = (given.session_uuid, given.session_agent_uuid)
    execute_for_user_input(context.app, context.tenant, *agent, given.user_input, given.question_id)


@dataclass(frozen=True)
class AskRequest:
    """The arguments of `askOperationHub`."""

    coordination_uuid: str
    user_query: str
    user_id: str | None = None
    agent_uuid: str | None = None
    session_uuid: str | None = None
    input_files: Sequence[object] | None = None
    receiver_email: str | None = None
    thread_uuid: str | None = None
    stream: bool | None = None
    thread_life_minutes: int | None = None
    when_busy: str | None = None


def _ask(context: Context, given: AskRequest) -> AskOperationHubType:
    if context.method == "GET":
        raise BadUserInput("askOperationHub has side effects; send it with POST.")
    if given.stream:
        context.warn(
            "stream: answers are not streamed yet; read agentOutput of the session agent when it"
            " is completed."
        )
    question = {name: value for name, value in vars(given).items() if name != "stream"}
    asked = ask(context.app, context.tenant, Question(**question, trace=context.trace))
    return AskOperationHubType(
        run_uuid=asked.run_uuid,
        thread_uuid=asked.thread_uuid,
        agent_uuid=asked.agent_uuid,
        async_task_uuid=asked.run_uuid,
        session_uuid=asked.session_uuid,
        session_agent_uuid=asked.session_agent_uuid,
        coordination_uuid=asked.coordination_uuid,
        partition_key=context.tenant,
        updated_at=asked.agent.updated_at,
    )


ASK = Operation(
    "askOperationHub",
    AskRequest,
    _ask,
    "Ask one agent a question, outside a task.",
    AskOperationHubType,
    lambda asked: asked,
    START,
)


def ask_query() -> graphene.Field:
    """Return `askOperationHub` as a query, for clients that do not use the mutation."""
    return graphene.Field(
        AskOperationHubType,
        **ASK.arguments,
        resolver=ASK.resolve,
        deprecation_reason="It has side effects: use the mutation of the same name.",
    )


# Controls


@dataclass(frozen=True, kw_only=True)
class KeyedRequest:
    """The arguments that all controls share."""

    updated_by: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True)
class SessionRequest(KeyedRequest):
    """The arguments of a control of a session."""

    coordination_uuid: str
    session_uuid: str


@dataclass(frozen=True)
class RerunRequest(KeyedRequest):
    """The arguments of `rerunSessionAgent`."""

    session_uuid: str
    session_agent_uuid: str


@dataclass(frozen=True)
class ForkRequest(KeyedRequest):
    """The arguments of `forkSession`."""

    coordination_uuid: str
    session_uuid: str
    from_session_agent_uuid: str | None = None
    task_query: str | None = None
    subtask_query: str | None = None
    input_files: Sequence[object] | None = None
    new_session_uuid: str | None = None
    user_id: str | None = None


def _control(
    which: control.Control, description: str, price: int = WRITE
) -> Operation[SessionRequest]:
    def run(context: Context, given: SessionRequest) -> object:
        return which(context.app, context.tenant, **vars(given))

    return of_session(f"{which.name}Session", SessionRequest, run, description, price)


def _fork(context: Context, given: ForkRequest) -> object:
    forked = fork.fork_session(context.app, context.tenant, **vars(given), trace=context.trace)
    changed = [
        name
        for name, value in (("taskQuery", given.task_query), ("inputFiles", given.input_files))
        if value
    ]
    if changed and forked.status in TERMINAL_SESSION_STATUSES:
        context.warn(
            f"No agent runs in the fork, so {' and '.join(changed)} has no effect. Name the first"
            " agent to run in fromSessionAgentUuid."
        )
    return forked


# Long jobs


@dataclass(frozen=True)
class CompletionRequest:
    """The arguments of `completeAsyncTask`; either `result` or `error` is given."""

    async_task_uuid: str
    result: str | None = None
    error: str | None = None
    usage: Mapping[str, object] | None = None


@dataclass(frozen=True)
class HeartbeatRequest:
    """The arguments of `heartbeatAsyncTask`."""

    async_task_uuid: str


@dataclass(frozen=True)
class Completed:
    """The answer of `completeAsyncTask`."""

    async_task_uuid: str
    ok: bool = True


def _complete(context: Context, given: CompletionRequest) -> Completed:
    if not isinstance(given.usage, dict | None):
        raise BadUserInput("usage must be an object or null.")
    async_tasks.complete_async_task(context.app, context.tenant, **vars(given))
    return Completed(given.async_task_uuid)


async def _agent_of(done: Completed, info: GraphQLResolveInfo) -> object:
    """Return the session agent that waited for the job."""
    context: Context = info.context
    task = await context.call(context.app.jobs.get, context.tenant, done.async_task_uuid)
    if task is None:
        return None
    return await context.loaders.session_agent.load(
        (task.agent_session_uuid, task.session_agent_uuid)
    )


OPERATIONS = (
    Operation(
        "executeProcedureTaskSession",
        Start,
        _start,
        "Start a session of a task. A call with a `sessionUuid` can be repeated safely.",
        {"procedure_task_session": graphene.Field(ProcedureTaskSessionType)},
        lambda session: {"procedure_task_session": session},
        START,
    ),
    of_success(
        "executeForUserInput",
        AnswerRequest,
        _answer,
        "Answer a session agent that waits for a person. Repeating the same answer has no effect.",
        2 * WRITE,
    ),
    ASK,
    _control(
        control.cancel_session,
        "Cancel a session. Results of attempts that are still running are ignored.",
        2 * WRITE,
    ),
    _control(
        control.pause_session,
        "Pause a session: no further attempt begins, and running attempts continue to their end.",
    ),
    _control(control.resume_session, "Continue a paused session."),
    of_session(
        "retrySession",
        SessionRequest,
        lambda context, given: restart.retry_session(context.app, context.tenant, **vars(given)),
        "Run again the agents that failed, were skipped or cancelled. Completed agents are kept.",
        START,
    ),
    of_session(
        "reconcileSession",
        SessionRequest,
        lambda context, given: reconcile.reconcile_session(
            context.app, context.tenant, given.coordination_uuid, given.session_uuid
        ),
        "Repair a session: compute from its stored state what must still happen, and do it. Safe"
        " at any time.",
        START,
    ),
    of_session(
        "rerunSessionAgent",
        RerunRequest,
        lambda context, given: restart.rerun_session_agent(
            context.app, context.tenant, **vars(given)
        ),
        "Run one agent and all agents that depend on it again.",
        START,
    ),
    of_session(
        "forkSession",
        ForkRequest,
        _fork,
        "Start a copy of a session that runs from a given agent on, with changed input.",
        START,
    ),
    Operation(
        "completeAsyncTask",
        CompletionRequest,
        _complete,
        "Report the result or the error of a long job; the agent that waits for it continues."
        " Repeating the call has no effect.",
        {
            "ok": graphene.Boolean(),
            "session_agent": graphene.Field(SessionAgentType),
            "resolve_session_agent": staticmethod(_agent_of),
        },
        lambda done: done,
        2 * WRITE,
    ),
    *SCHEDULE_OPERATIONS,
    of_success(
        "heartbeatAsyncTask",
        HeartbeatRequest,
        lambda context, given: async_tasks.heartbeat(
            context.app, context.tenant, given.async_task_uuid
        ),
        "Report that a long job is still running; this extends its deadline.",
    ),
)
