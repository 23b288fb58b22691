"""The descriptions of types, fields and arguments in the GraphQL schema, each declared once.

They appear in the SDL, in editors and in GraphiQL. `schema` calls `describe` once. A field or an
argument is looked up by its name. `Type.field` or `field.argument` overrides the name where it has
another meaning. Types and mutations that are not listed here use their own docstrings, and the
fields of a record their row in `domain.records`.
"""

from collections.abc import Iterator, Mapping

from graphql import (
    GraphQLArgument,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    is_composite_type,
)
from pydantic.alias_generators import to_camel

from ai_coordination_engine.api.argument_descriptions import ARGUMENTS, FILTERS
from ai_coordination_engine.domain.records import RECORDS

TYPES: Mapping[str, str] = {
    "Query": (
        "Read operations. A record that does not exist or belongs to another tenant is null,"
        " without an error."
    ),
    "Mutation": "Write operations. Every error has a code in `extensions.code`.",
    "Subscription": (
        "Live operations, over a WebSocket or as server-sent events: the present state at once, and"
        " again whenever it has changed, at most 10 times a second."
    ),
    "DateTime": "A date and time in UTC, in ISO 8601: `2026-11-02T09:00:00.250000+00:00`.",
}

FIELDS: Mapping[str, str] = {
    # Roots
    "ping": "`Hello at ` and the server's time.",
    "node": "The record of any type with this id; null when there is none.",
    "userInbox": (
        "The session agents of all sessions that wait for a person's answer, the latest first."
    ),
    "Subscription.session": (
        "The session as it is now, and whenever it has changed; null while it does not exist. The"
        " stream ends when the session and its agents have ended."
    ),
    "Subscription.sessionList": "A page of sessions as it is now, and whenever it has changed.",
    "Subscription.userInbox": (
        "The session agents that wait for a person as they are now, and whenever that has changed."
    ),
    "Subscription.agentOutput": (
        "The text of an agent while it is written, as far as this server sees it; `agentOutput` of"
        " the session agent is the whole text. The stream ends with the agent."
    ),
    "delta": "The text since the answer before; empty when there is none.",
    "done": "Whether the agent has ended: no more text follows.",
    "AgentOutputType.attempt": (
        "The attempt that writes the text; when it changes, the text begins anew. Null before the"
        " first attempt."
    ),
    "coordination": "The coordination; null when it does not exist.",
    "task": "The task; null when it does not exist or was deleted.",
    "taskSchedule": "The task schedule; null when it does not exist.",
    "session": "The session; null when it does not exist.",
    "sessionAgent": "The session agent; null when it does not exist.",
    "sessionRun": "The session run; null when it does not exist.",
    "coordinationList": "Coordinations, the latest first.",
    "taskList": "Tasks, the latest first.",
    "taskScheduleList": "Task schedules, the latest first.",
    "sessionList": (
        "Sessions in descending order of their uuids. Uuids that the server made sort by"
        " time: the latest comes first."
    ),
    "sessionAgentList": "Session agents of one session, in the order of the task.",
    "sessionRunList": "Session runs of one session, in order of creation.",
    "Query.askOperationHub": (
        "Ask one agent a question, outside a task. Same as the mutation of this name."
    ),
    # Keys
    "id": (
        "The record's id: opaque, stable, and unique among the records of all types. `node`"
        " finds the record by it."
    ),
    "coordinationUuid": (
        "The coordination's uuid: 1 to 256 printable bytes, given by the client or made by"
        " the server."
    ),
    "taskUuid": (
        "The task's uuid: 1 to 256 printable bytes, given by the client or made by the server."
    ),
    "SessionType.taskUuid": (
        "The task from which the session was started; null when there was none."
    ),
    "scheduleUuid": (
        "The schedule's uuid: 1 to 256 printable bytes, given by the client or made by the server."
    ),
    "sessionUuid": (
        "The session's uuid: 1 to 256 printable bytes, given by the client or made by the server."
    ),
    "sessionAgentUuid": (
        "The session agent's uuid; the same agent has a different one in every session."
    ),
    "SessionRunType.sessionAgentUuid": (
        "The session agent that made the attempt; null when a client wrote the run without it."
    ),
    "agentUuid": "The agent's uuid in its coordination.",
    "SessionRunType.agentUuid": (
        "The agent that ran: the session agent's own agent, or its fallback."
    ),
    "runUuid": "The run's uuid. The engine creates it when an attempt begins.",
    "AskOperationHubType.runUuid": "The uuid of the run that will hold the answer.",
    "threadUuid": "The thread (a conversation within the session) to which the run belongs.",
    "asyncTaskUuid": (
        "The uuid of the long job that did the work. While the job runs, `completeAsyncTask`"
        " takes this uuid."
    ),
    "endpointId": "The endpoint id of the tenant.",
    "partId": "The part id of the tenant; null when the tenant has no part.",
    "partitionKey": "The tenant: `endpointId`, or `endpointId#partId`.",
    "userId": "The user who started it, as given by the client; null when none was given.",
    "updatedBy": (
        "Who made the latest change, as given by the client; `engine` for a change by the engine."
    ),
    "createdAt": "When the record was created.",
    "updatedAt": "When the record was last changed.",
    # Pages
    "CoordinationListType.coordinationList": "The coordinations of this page.",
    "TaskListType.taskList": "The tasks of this page.",
    "TaskScheduleListType.taskScheduleList": "The task schedules of this page.",
    "SessionListType.sessionList": "The sessions of this page.",
    "SessionAgentListType.sessionAgentList": "The session agents of this page.",
    "UserInboxType.sessionAgentList": "The session agents of this page.",
    "SessionRunListType.sessionRunList": "The session runs of this page.",
    "pageSize": "The number of records on a full page.",
    "pageNumber": "The number of this page, from 1.",
    "total": (
        "The number of records on all pages. Counting stops at 20,000, with a warning. Costs"
        " a count."
    ),
    "nextCursor": "The value for `cursor` to get the next page; null on the last page.",
    # Coordinations and tasks
    "coordinationName": "The display name: at most 4,096 bytes.",
    "coordinationDescription": "A description for people.",
    "agents": (
        "The agents. Keys: `agentUuid` (required), `agentName`, `agentDescription`,"
        " `agentType`, `runtime`, `policy`."
    ),
    "themeUuid": "The theme in which a frontend shows the coordination.",
    "taskName": "The display name: at most 4,096 bytes.",
    "taskDescription": "A description for people.",
    "initialTaskQuery": "The query of a session that is started without a `taskQuery`.",
    "subtaskQueries": (
        "The question for each agent, with the keys `agentUuid` and `subtaskQuery`. An agent"
        " may have several."
    ),
    "agentActions": (
        "By agent uuid, how the agent runs: `predecessors`, `userInTheLoop`, `join`,"
        " `conditions`, `map`, `policy` and others."
    ),
    "onFailure": (
        "`fail_fast` (default): a failed agent fails the session at once. `continue`: other"
        " branches finish first."
    ),
    "placeholders": (
        "What happens to a placeholder without a value: `warn` (default) warns, `strict` is"
        " an error."
    ),
    # Schedules
    "TaskScheduleType.status": (
        "One of initial, active, paused, completed. The schedule fires while it is active."
    ),
    "TaskScheduleType.taskQuery": (
        "The query of its sessions: a text or a JSON object; null: the task's `initialTaskQuery`."
    ),
    "TaskScheduleType.inputFiles": "Files or references for the agents of its sessions.",
    "TaskScheduleType.userId": "The user for whom its sessions start; null when none was given.",
    "schedule": "The expression of its times, such as `0 9 * * MON-FRI` or `rate(1 day)`.",
    # Sessions
    "SessionType.status": (
        "One of initial, dispatched, in_progress, active, in_transit, paused, completed, failed, "
        "timeout, cancelled. The last four are final."
    ),
    "taskQuery": (
        "The query of the session: a text, or a JSON object whose keys fill placeholders."
    ),
    "inputFiles": "Files or references for all agents of the session, in any form.",
    "iterationCount": "A number for the client's own use; the engine does not change it.",
    "logs": "Why the session failed, or a client's notes; null when there are none.",
    "sessionAgents": "The session agents, with the elements of maps, in the order of the task.",
    "sessionRuns": (
        "The session runs, in order of creation: every attempt that has ended or waits for a"
        " long job."
    ),
    "definition": (
        "What the session was started with, independent of later changes to coordination and"
        " task: `agents`, `agentActions`, `subtaskQueries`, `onFailure`; the `plan` and its"
        " `planHash`, once a planning agent has made one. Null for a session that a client wrote."
    ),
    # Session agents
    "agentName": "The name of the agent when the session started; null when it has none.",
    "agentAction": (
        "How the agent runs: `predecessors`, `primaryPath`, `userInTheLoop`, `actionFunction`"
        " and others."
    ),
    "userInput": "The person's answer; null until it is given, and when no person is asked.",
    "agentInput": (
        "The input of the agent, with the predecessors' outputs; null before the first attempt."
        " While its runtime asks a person, the text of the question."
    ),
    "SessionAgentType.question": (
        "What the agent's runtime asks a person now: `id`, `text`, `answerSchema`, and `details`"
        " such as the tool calls to approve. Null when it asks nothing: the `agentAction` says what"
        " a person is asked before the agent begins."
    ),
    "agentOutput": "The output of the agent as a text; null until it has one.",
    "inDegree": "The number of predecessors that have not ended.",
    "state": (
        "One of initial, pending, executing, wait_for_user_input, completed, failed, skipped, "
        "cancelled. The last four are final."
    ),
    "phase": (
        "What the agent is doing, or what it waits for while it is pending: one of the phases of"
        " `docs/states.md`, such as `backoff`."
    ),
    "SessionType.waitsFor": (
        "The people whose answers the session waits for, each once; empty when it waits for nobody."
    ),
    "notes": "Why the agent failed or was skipped, in words; null when there is no such reason.",
    "SessionAgentType.attempt": (
        "The number of the latest attempt, from 1; null before the first."
    ),
    "SessionAgentType.startedAt": (
        "When the latest attempt began; null before the first attempt, and after a reset"
        " (such as `retrySession`) until the next one. A map starts when its elements have"
        " ended."
    ),
    "SessionAgentType.endedAt": (
        "When the latest attempt ended; null while it runs and before the first attempt."
    ),
    "dueAt": (
        "When the wait for a person or a long job times out; null when it does not wait or"
        " has no timeout."
    ),
    "notBefore": "The earliest time of the next attempt; null when there is no such limit.",
    "leaseUntil": (
        "When the lease of the worker that runs the attempt expires; null when no attempt runs."
    ),
    "mapIndex": (
        "The position in the list of its map, from 0; null when the agent is not an element"
        " of a map."
    ),
    "mapSessionAgentUuid": (
        "The session agent of the map; null when the agent is not an element of a map."
    ),
    "whyNotRunning": (
        "Why the agent does not run. Never null; ask this first when a session makes no progress."
    ),
    "successors": (
        "The edges to the agents that wait for this one: `sessionAgentUuid`, the `condition`, and"
        " once this one has ended the `outcome`: passes, unsatisfied or upstream_failed."
    ),
    "WhyNotRunningType.code": "The reason as a code for programs, such as `WAITS_FOR_USER`.",
    "WhyNotRunningType.message": "The reason in words, for people.",
    "WhyNotRunningType.until": (
        "When this ends at the latest without any action; null when it does not."
    ),
    "WhyNotRunningType.waitsFor": "The first agents that must end before this one can begin.",
    "WhyNotRunningType.details": (
        "Further values for the code, for example the number of the attempt."
    ),
    "SessionAgentType.sessionRuns": "The runs of this agent's attempts, in order of creation.",
    # Session runs
    "asyncTask": (
        "Details of the attempt as its runtime reported them; null when a client wrote the run."
    ),
    "SessionRunType.status": (
        "One of completed, failed, lost (the worker died), asked (a person was asked; another"
        " attempt goes on with the answer), pending (a long job is running),"
        " expired (the long job sent no heartbeat in time); null when a client wrote the run."
    ),
    "SessionRunType.attempt": (
        "The number of the attempt, from 1; null when a client wrote the run."
    ),
    "SessionRunType.startedAt": (
        "When the attempt began; null when it was lost or a client wrote the run."
    ),
    "SessionRunType.endedAt": (
        "When the attempt ended; null while a long job is running, and when it was lost."
    ),
    "error": "Why the attempt failed, in words; null when it did not fail.",
    "errorClass": (
        "The class of the error: timeout, rate_limit, unavailable, invalid_output, "
        "invalid_request, not_allowed, lost or error; null when the attempt did not fail."
    ),
    "toolCalls": (
        "The tools that the agent called, in order: `name`, `outcome` (completed, failed, denied,"
        " asked), `startedAt`, `durationMs`, `arguments` and `result`, cut to a limited size; null"
        " when it called none."
    ),
    "inputTokens": (
        "The tokens that the model read, cached ones included; null when the runtime did not count"
        " them."
    ),
    "outputTokens": (
        "The tokens that the model wrote, those of its reasoning included; null when the runtime"
        " did not count them."
    ),
    "cachedTokens": "Those of `inputTokens` that were read from a cache.",
    "cacheWriteTokens": "Those of `inputTokens` that were written into a cache.",
    "reasoningTokens": "Those of `outputTokens` in which the model reasoned.",
    "SessionRunType.requests": "How often the model was asked.",
    "provider": "Who is paid for the model: its name, or the host of its API.",
    "costMicroUsd": (
        "What the attempt cost, in millionths of a dollar; null when the usage or its price is not"
        " known."
    ),
    "priceVersion": "The version of the prices by which the cost was computed.",
    "totalTokens": "The sum of all tokens; null when the runtime did not count them.",
    "model": "The model that answered; null when the runtime did not name it.",
    # Answers of mutations
    "ok": "Always true; a failure is an error instead.",
    "ExecuteProcedureTaskSession.procedureTaskSession": "The session that was started.",
    "CompleteAsyncTask.sessionAgent": (
        "The session agent that waited for the job; null when it no longer exists."
    ),
}

_OF_RECORDS: Mapping[str, str] = {
    to_camel(each.name): each.description
    for record in RECORDS
    for each in record
    if each.description is not None
}


def describe(schema: GraphQLSchema) -> None:
    """Set the descriptions in the schema."""
    for named in _own_types(schema):
        named.description = TYPES.get(named.name, named.description)
        for name, field in getattr(named, "fields", {}).items():
            own = FIELDS.get(f"{named.name}.{name}")
            field.description = _first_given(
                own, field.description, FIELDS.get(name), _OF_RECORDS.get(name)
            )
            _describe_arguments(name, field.args)
    for name in schema.mutation_type.fields if schema.mutation_type else ():
        payload = schema.get_type(name[0].upper() + name[1:])
        if isinstance(payload, GraphQLObjectType):
            _describe_payload(payload, name)


def _describe_arguments(field: str, arguments: Mapping[str, GraphQLArgument]) -> None:
    filters = FILTERS if field.endswith("List") or field == "userInbox" else {}
    for name, argument in arguments.items():
        argument.description = _first_given(
            ARGUMENTS.get(f"{field}.{name}"),
            filters.get(name),
            ARGUMENTS.get(name),
            FIELDS.get(name),
            _OF_RECORDS.get(name),
            argument.description,
        )


def _describe_payload(payload: GraphQLObjectType, mutation: str) -> None:
    payload.description = f"The result of `{mutation}`."
    for name, field in payload.fields.items():
        if is_composite_type(field.type) and f"{payload.name}.{name}" not in FIELDS:
            field.description = "The record after the change."


def _own_types(schema: GraphQLSchema) -> Iterator[GraphQLNamedType]:
    return (named for named in schema.type_map.values() if not named.name.startswith("__"))


def _first_given(*descriptions: str | None) -> str | None:
    return next((each for each in descriptions if each), None)
