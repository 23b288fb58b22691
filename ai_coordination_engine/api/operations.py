"""The operations of the contract beside CRUD: ping, starting a session, answering an agent, asking one."""

from typing import Any

import graphene
from graphql import GraphQLResolveInfo

from ai_coordination_engine.api.content import check_arguments
from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.scalars import JSONCamelCase
from ai_coordination_engine.api.types import AskOperationHubType, ProcedureTaskSessionType
from ai_coordination_engine.engine.ask import Question, ask
from ai_coordination_engine.engine.resume import execute_for_user_input
from ai_coordination_engine.engine.start import Start, execute_procedure
from ai_coordination_engine.errors import BadUserInput


def ping() -> graphene.Field:
    """Whether anybody is there; touches no store."""
    return graphene.String(
        resolver=lambda root, info: f"Hello at {info.context.app.clock.now().isoformat()}",
    )


class ExecuteProcedureTaskSession(graphene.Mutation):
    """Start a session of a task. With a `sessionUuid` of the client's choice the call may be repeated safely."""

    class Arguments:  # the arguments are in the schema
        coordination_uuid = graphene.String(required=True)
        task_uuid = graphene.String(required=True)
        user_id = graphene.String()
        task_query = graphene.String()
        session_uuid = graphene.String()
        input_files = graphene.List(JSONCamelCase)

    procedure_task_session = graphene.Field(ProcedureTaskSessionType)

    @staticmethod
    async def mutate(root: Any, info: GraphQLResolveInfo, **given: Any) -> Any:
        """Answers when every root is enqueued."""
        context: Context = info.context
        check_arguments(given)
        now = context.app.clock.now()
        session = await context.change(execute_procedure, context.app, context.tenant, Start(**given), context.warn)
        if session.created_at >= now:  # and not by an earlier, equal start
            context.just_started.add((session.coordination_uuid, session.session_uuid))
        return {"procedure_task_session": session}


class ExecuteForUserInput(graphene.Mutation):
    """Give a session agent that waits for a person the answer. The same answer again has no effect."""

    class Arguments:  # the arguments are in the schema
        session_uuid = graphene.String(required=True)
        session_agent_uuid = graphene.String(required=True)
        user_input = graphene.String(required=True)
        idempotency_key = graphene.String()

    ok = graphene.Boolean()

    @staticmethod
    async def mutate(root: Any, info: GraphQLResolveInfo, **given: str) -> Any:
        """Answers when the agent's message is accepted. The key is not needed: the answer itself tells a repetition."""
        context: Context = info.context
        check_arguments(given)
        await context.change(
            execute_for_user_input,
            context.app,
            context.tenant,
            given["session_uuid"],
            given["session_agent_uuid"],
            given["user_input"],
        )
        return {"ok": True}


def _ask_arguments() -> dict[str, Any]:
    return {
        "coordination_uuid": graphene.String(required=True),
        "user_query": graphene.String(required=True),
        "user_id": graphene.String(),
        "agent_uuid": graphene.String(),
        "session_uuid": graphene.String(),
        "input_files": graphene.List(JSONCamelCase),
        "receiver_email": graphene.String(),
        "thread_uuid": graphene.String(),
        "stream": graphene.Boolean(),
        "thread_life_minutes": graphene.Int(),
    }


async def _ask(root: Any, info: GraphQLResolveInfo, **given: Any) -> Any:
    context: Context = info.context
    if context.method == "GET":
        raise BadUserInput("askOperationHub has side effects; send it with POST.")
    check_arguments(given)
    if given.pop("stream", None):
        context.warn("stream: answers are not streamed yet; read the session agent's output when it is completed.")
    asked = await context.change(ask, context.app, context.tenant, Question(**given))
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


def ask_query() -> graphene.Field:
    """`askOperationHub` as a query, for clients that know no better."""
    return graphene.Field(
        AskOperationHubType,
        **_ask_arguments(),
        resolver=_ask,
        deprecation_reason="It has side effects: use the mutation of the same name.",
    )


def ask_mutation() -> graphene.Field:
    """`askOperationHub` as a mutation."""
    return graphene.Field(
        AskOperationHubType, **_ask_arguments(), resolver=_ask, description="Ask one agent, outside a task."
    )
