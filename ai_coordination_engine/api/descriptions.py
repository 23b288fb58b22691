"""The words of the schema, each once: what a frontend developer reads in the SDL, in an editor and
in GraphiQL.

A field or an argument is found by its own name, and under `Type.field` or `field.argument` where it
means something else there. Types and mutations that are not named here say in their docstrings what
they are.
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

from ai_coordination_engine.domain.records import RECORDS

TYPES: Mapping[str, str] = {
    "Query": (
        "What can be read. What does not exist, or belongs to another tenant, is null and no error."
    ),
    "Mutation": "What can be changed. Every error has a code in `extensions.code`.",
    "DateTime": "A moment in UTC, as ISO 8601: `2026-11-02T09:00:00.250000+00:00`.",
}

FIELDS: Mapping[str, str] = {
    # Roots
    "ping": "`Hello at ` and the server's time.",
    "node": "The record of any type with this id; null for what is none.",
    "userInbox": "The session agents that wait for a person, the latest first, across sessions.",
    "coordination": "The coordination; null when it does not exist.",
    "task": "The task; null when there is none, or it was deleted.",
    "taskSchedule": "The task schedule; null when it does not exist.",
    "session": "The session; null when it does not exist.",
    "sessionAgent": "The session agent; null when there is none.",
    "sessionRun": "The session run; null when it does not exist.",
    "coordinationList": "Coordinations, the latest first.",
    "taskList": "Tasks, the latest first.",
    "taskScheduleList": "Task schedules, the latest first.",
    "sessionList": (
        "Sessions by uuid, the greatest first: the latest, where the server made the uuids."
    ),
    "sessionAgentList": "Session agents of one session, in the order of its task.",
    "sessionRunList": "Session runs of one session, in order of creation.",
    "Query.askOperationHub": (
        "Ask one agent, outside a task. The mutation of the same name does the same."
    ),
    # Keys
    "id": (
        "Unique among all records of all types, and always the same; opaque. `node` finds the"
        " record by it."
    ),
    "coordinationUuid": (
        "The coordination's uuid: 1 to 256 printable bytes, chosen by the client or made by the"
        " server."
    ),
    "taskUuid": (
        "The task's uuid: 1 to 256 printable bytes, chosen by the client or made by the server."
    ),
    "SessionType.taskUuid": "The task that the session was started from; null when there was none.",
    "scheduleUuid": (
        "The schedule's uuid: 1 to 256 printable bytes, chosen by the client or made by the server."
    ),
    "sessionUuid": (
        "The session's uuid: 1 to 256 printable bytes, chosen by the client or made by the server."
    ),
    "sessionAgentUuid": "The session agent's uuid, which is another in every session.",
    "SessionRunType.sessionAgentUuid": (
        "The session agent whose attempt it is; null when a client wrote the run without it."
    ),
    "agentUuid": "The agent's uuid in its coordination.",
    "SessionRunType.agentUuid": "The agent that ran: the session agent's own, or its fallback.",
    "runUuid": "The run's uuid. That of an attempt of the engine is made when the attempt begins.",
    "AskOperationHubType.runUuid": "The run that the first attempt to answer will leave.",
    "threadUuid": "The thread of questions and answers to which it belongs, within its session.",
    "asyncTaskUuid": (
        "The job that did the work: `completeAsyncTask` takes it while the job goes on elsewhere."
    ),
    "endpointId": "The endpoint of the tenant, without its part.",
    "partId": "The part of the tenant; null when the tenant has no parts.",
    "partitionKey": "The tenant: its endpoint, or `endpointId#partId`.",
    "userId": "Who started it, as the client said; null when nobody was named.",
    "updatedBy": "Who changed it last, as the client said; `engine` where the engine did.",
    "createdAt": "When it was created.",
    "updatedAt": "When it changed last.",
    # Pages
    "CoordinationListType.coordinationList": "The coordinations of this page.",
    "TaskListType.taskList": "The tasks of this page.",
    "TaskScheduleListType.taskScheduleList": "The task schedules of this page.",
    "SessionListType.sessionList": "The sessions of this page.",
    "SessionAgentListType.sessionAgentList": "The session agents of this page.",
    "UserInboxType.sessionAgentList": "The session agents of this page.",
    "SessionRunListType.sessionRunList": "The session runs of this page.",
    "pageSize": "How many records a full page has.",
    "pageNumber": "The number of this page, from 1.",
    "total": (
        "How many records there are on all pages; of more than 20,000 that number, with a warning."
        " Costs a count."
    ),
    "nextCursor": "What `cursor` takes to get the next page; null on the last one.",
    # Coordinations and tasks
    "coordinationName": "What people call it: at most 4,096 bytes.",
    "coordinationDescription": "What it is for.",
    "agents": (
        "The agents: `agentUuid` (required), `agentName`, `agentDescription`, `agentType`,"
        " `runtime`, `policy`."
    ),
    "themeUuid": "The theme with which a frontend shows it.",
    "taskName": "What people call it: at most 4,096 bytes.",
    "taskDescription": "What it is for.",
    "initialTaskQuery": "What a session is asked when its start brings no `taskQuery`.",
    "subtaskQueries": (
        "What each agent is asked: `agentUuid` and `subtaskQuery`, several times for one agent if"
        " need be."
    ),
    "agentActions": (
        "By agent uuid: `predecessors`, `userInTheLoop`, `join`, `conditions`, `map`, `policy` and"
        " the like."
    ),
    "onFailure": (
        "`fail_fast` (default): a failed agent fails the session. `continue`: other branches finish"
        " first."
    ),
    "placeholders": (
        "What a placeholder without a value is: a warning (`warn`, the default), or an error"
        " (`strict`)."
    ),
    # Schedules
    "TaskScheduleType.status": (
        "One of initial, active, paused, completed. It fires while it is active."
    ),
    "TaskScheduleType.taskQuery": (
        "What its sessions are asked: a text, or a JSON object; null: the task's own."
    ),
    "TaskScheduleType.inputFiles": "Files or references that its sessions hand to their agents.",
    "TaskScheduleType.userId": "On whose behalf its sessions start; null when nobody was named.",
    "schedule": "When it fires: an expression such as `0 9 * * MON-FRI` or `rate(1 day)`.",
    # Sessions
    "SessionType.status": (
        "One of initial, dispatched, in_progress, active, in_transit, paused, completed, failed, "
        "timeout, cancelled. The last four are final."
    ),
    "taskQuery": (
        "What the session is asked: a text, or a JSON object whose keys fill placeholders."
    ),
    "inputFiles": (
        "Files or references that every agent is handed, in whatever form the client gave them."
    ),
    "iterationCount": "A number for the client's own use; the engine leaves it alone.",
    "logs": "Why the session failed, or what a client noted; null when nothing was said.",
    "sessionAgents": "Its session agents, elements of maps included, in the order of its task.",
    "sessionRuns": (
        "Its session runs: every attempt that has ended, or waits for a long job, in order of"
        " creation."
    ),
    "definition": (
        "What it was started with, whatever became of the coordination and the task since: "
        "`agents`, `agentActions`, `subtaskQueries`, `onFailure`. Null for a session that was "
        "made by hand."
    ),
    # Session agents
    "agentName": "What the agent was called when the session started; null when it has no name.",
    "agentAction": (
        "Its action: `predecessors`, `primaryPath`, `userInTheLoop`, `actionFunction` and the like."
    ),
    "userInput": "What its person answered; null before, and where nobody is asked.",
    "agentInput": (
        "What it was given, predecessors' outputs included; null before its first attempt."
    ),
    "agentOutput": "What it answered, as a text; null until it has.",
    "inDegree": "How many predecessors have not ended yet.",
    "state": (
        "One of initial, pending, executing, wait_for_user_input, completed, failed, skipped, "
        "cancelled. The last four are final."
    ),
    "notes": "Why it failed or was skipped, in words; null when there is nothing to say.",
    "SessionAgentType.attempt": "The number of its latest attempt, from 1; null before the first.",
    "SessionAgentType.startedAt": (
        "When its latest attempt began, also while it runs; null before the first, and when a "
        "retry has set it back. A map begins when its elements have ended."
    ),
    "SessionAgentType.endedAt": (
        "When its latest attempt ended; null while it runs, and where none has begun."
    ),
    "dueAt": (
        "When its wait for a person or a long job ends; null when it does not wait, or waits"
        " without an end."
    ),
    "notBefore": "When its next attempt may begin; null when nothing holds it back.",
    "leaseUntil": "Until when its attempt belongs to the worker that runs it; null when none does.",
    "mapIndex": "Its place in the list of its map, from 0; null when it is no element of a map.",
    "mapSessionAgentUuid": "The session agent of its map; null when it is no element of a map.",
    "whyNotRunning": "The first thing to ask when it stands still; it is never null.",
    "WhyNotRunningType.code": "The reason as a code such as `WAITS_FOR_USER`, for programs.",
    "WhyNotRunningType.message": "The reason in words, for people.",
    "WhyNotRunningType.until": "When this ends by itself at the latest; null when it does not.",
    "WhyNotRunningType.waitsFor": "The first agents that must end before it can begin.",
    "WhyNotRunningType.details": "What belongs to the code, for example the number of the attempt.",
    "SessionAgentType.sessionRuns": "The runs of its own attempts, in order of creation.",
    # Session runs
    "asyncTask": (
        "All that is known of the attempt, as its runtime told it; null when a client wrote the"
        " run."
    ),
    "SessionRunType.status": (
        "One of completed, failed, lost (its process died), pending (a long job goes on "
        "elsewhere), expired (that was not heard of in time); null when a client wrote the run."
    ),
    "SessionRunType.attempt": (
        "The number of the attempt, from 1; null when a client wrote the run."
    ),
    "SessionRunType.startedAt": (
        "When the attempt began; null when it was lost, or a client wrote the run."
    ),
    "SessionRunType.endedAt": (
        "When the attempt ended; null while a long job goes on, and when it was lost."
    ),
    "error": "Why the attempt failed, in words; null when it did not.",
    "errorClass": (
        "The class of the error: timeout, rate_limit, unavailable, invalid_output, "
        "invalid_request, not_allowed, lost or error; null when the attempt did not fail."
    ),
    "inputTokens": "Tokens that the model read; null when its runtime did not count them.",
    "outputTokens": "Tokens that the model wrote; null when its runtime did not count them.",
    "totalTokens": "All tokens together; null when its runtime did not count them.",
    "model": "The model that answered; null when its runtime named none.",
    # Answers of mutations
    "ok": "True; what went wrong is an error.",
    "ExecuteProcedureTaskSession.procedureTaskSession": "The session that was started.",
    "CompleteAsyncTask.sessionAgent": (
        "The session agent that waited for the job; null when it is gone."
    ),
}

ARGUMENTS: Mapping[str, str] = {
    "id": "The `id` of a record.",
    # Lists
    "pageNumber": (
        "Which page, from 1 (default); pages within the first 10,000 records. Further on take"
        " `cursor`."
    ),
    "limit": "How many records a page has: 1 to 1,000, 50 by default.",
    "cursor": "The `nextCursor` of the page before, with the same filters.",
    "upcoming.limit": "How many: 1 to 100, 10 by default.",
    "sessions.limit": "How many: 1 to 25, 10 by default.",
    # Everywhere
    "updatedBy": "Who does it: a name for the record, at most 4,096 bytes.",
    "idempotencyKey": (
        "The client's name for this call (1 to 256 printable characters): the same again has no"
        " effect."
    ),
    "userId": "On whose behalf: a name for the record.",
    "inputFiles": "Files or references that every agent is handed, in any form.",
    "sessionAgentUuid": "The session agent's uuid.",
    "coordinationUuid": "The coordination's uuid.",
    "taskUuid": "The task's uuid.",
    "scheduleUuid": "The task schedule's uuid.",
    "sessionUuid": "The session's uuid.",
    "runUuid": "The run's uuid.",
    "insertUpdateCoordination.coordinationUuid": (
        "Which to update, or the uuid of a new one; left out, the server makes one."
    ),
    "insertUpdateTask.taskUuid": (
        "Which to update, or the uuid of a new one; left out, the server makes one."
    ),
    "insertUpdateTaskSchedule.scheduleUuid": (
        "Which to update, or the uuid of a new one; left out, the server makes one."
    ),
    "insertUpdateSession.sessionUuid": (
        "Which to update, or the uuid of a new one; left out, the server makes one."
    ),
    "insertUpdateSessionAgent.sessionAgentUuid": (
        "Which to update, or the uuid of a new one; left out, the server makes one."
    ),
    "insertUpdateSessionRun.sessionAgentUuid": "The session agent whose attempt it was.",
    # Writing records: what is left out stays as it is
    "insertUpdateTaskSchedule.coordinationUuid": (
        "The coordination of the task; needed to create a schedule."
    ),
    "insertUpdateTaskSchedule.status": (
        "One of initial (default), active, paused, completed. It fires while it is active."
    ),
    "insertUpdateTaskSchedule.taskQuery": (
        "What its sessions are asked; left out, the task's `initialTaskQuery`."
    ),
    "insertUpdateSession.taskUuid": "The task to which the session belongs.",
    "insertUpdateSession.status": "One of the statuses of a session. A final one never changes.",
    "insertUpdateSessionAgent.coordinationUuid": (
        "The coordination of the session; needed to create a session agent."
    ),
    "insertUpdateSessionAgent.agentUuid": (
        "Which agent of the coordination it is; needed to create a session agent."
    ),
    "insertUpdateSessionAgent.state": (
        "One of the states of a session agent. A final one never changes; the engine moves what it"
        " planned itself."
    ),
    "insertUpdateSessionAgent.inDegree": (
        "How many predecessors are unfinished; the engine counts those of its own agents."
    ),
    "insertUpdateSessionRun.agentUuid": "The agent that ran.",
    "deleteSessionRun.coordinationUuid": "Not needed: the session and the run name it.",
    # Starting, answering, asking
    "executeProcedureTaskSession.sessionUuid": (
        "A uuid of the client's choice makes the call repeatable: the same start again answers the"
        " same session."
    ),
    "executeProcedureTaskSession.taskQuery": (
        "What the session is asked; left out, the task's `initialTaskQuery`."
    ),
    "executeForUserInput.userInput": (
        "The answer, as the `answerSchema` of the agent's action wants it."
    ),
    "executeForUserInput.idempotencyKey": (
        "Accepted and not needed: the same answer again has no effect."
    ),
    "userQuery": "The question; not empty.",
    "askOperationHub.agentUuid": "Whom to ask; left out, the triage agent, or else the first one.",
    "askOperationHub.sessionUuid": "The session in which to ask; left out, a new one.",
    "askOperationHub.threadUuid": "The thread to go on with, in that session; left out, a new one.",
    "receiverEmail": "For whom the answer is; kept in the notes of the session agent.",
    "stream": "Accepted, with a warning: answers are not streamed.",
    "threadLifeMinutes": (
        "How old, in minutes, the latest turn of the thread may be; an older thread is not gone on"
        " with."
    ),
    # Control
    "fromSessionAgentUuid": (
        "The session agent from which the new session runs; left out, what did not complete runs."
    ),
    "forkSession.taskQuery": "Asked in place of the source's query; left out, that one.",
    "subtaskQuery": "Asked of the agent `fromSessionAgentUuid` in place of its subtask.",
    "forkSession.inputFiles": "Handed on in place of the source's files; left out, those.",
    "newSessionUuid": (
        "The new session's uuid; the same fork again answers the same session. Left out, the server"
        " makes one."
    ),
    "asyncTaskUuid": "The job, by the uuid under which the agent's runtime announced it.",
    "insertUpdateSessionRun.asyncTaskUuid": "The job that did the work.",
    "insertUpdateSessionRun.threadUuid": "The thread to which it belongs.",
    "result": "What the job found, at most 8,000,000 characters. Either this or `error`.",
    "completeAsyncTask.error": "Why the job failed, in words. Either this or `result`.",
    "usage": (
        "What the job used: an object of numbers and short texts such as `inputTokens`, `model`."
    ),
    "reconcileSession.idempotencyKey": "Accepted and not needed: reconciling again is harmless.",
    # Schedules
    "runTaskSchedule.idempotencyKey": (
        "The client's name for this call (1 to 256 printable characters): the same again answers"
        " the same session."
    ),
    "backfillTaskSchedule.idempotencyKey": (
        "Accepted and not needed: a time of the schedule has one session."
    ),
    "backfillTaskSchedule.from": "The beginning of the range, included; in the past.",
    "backfillTaskSchedule.to": "The end of the range, included; in the past.",
    "backfillTaskSchedule.overlapPolicy": (
        "What becomes of the times beside each other and what runs: `allow_all` (default) starts a"
        " session for each."
    ),
}

FILTERS: Mapping[str, str] = {
    "coordinationUuid": "Only those of this coordination.",
    "taskUuid": "Only those of this task.",
    "sessionUuid": "Only those of this session.",
    "coordinationName": "Only those whose name contains this text.",
    "coordinationDescription": "Only those whose description contains this text.",
    "taskName": "Only those whose name contains this text.",
    "taskDescription": "Only those whose description contains this text.",
    "initialTaskQuery": "Only those whose query contains this text.",
    "userId": "Only those of this user.",
    "statuses": "Only those with one of these statuses.",
    "states": "Only those in one of these states.",
    "agentUuid": "Only those of this agent.",
    "agentName": "Only those of agents whose name contains this text.",
    "threadUuid": "Only those of this thread.",
    "primaryPath": "Only those whose action says so of `primaryPath`.",
    "userInTheLoop": "Only those that this person must answer.",
    "predecessor": "Only those whose action names this agent among its predecessors.",
    "predecessors": "Only those of one of these agents.",
    "inDegree": "Only those with so many unfinished predecessors.",
}


_OF_RECORDS: Mapping[str, str] = {
    to_camel(each.name): each.words
    for record in RECORDS
    for each in record
    if each.words is not None
}


def describe(schema: GraphQLSchema) -> None:
    """Write the words into the schema."""
    for named in _own_types(schema):
        named.description = TYPES.get(named.name, named.description)
        for name, field in getattr(named, "fields", {}).items():
            words = FIELDS.get(f"{named.name}.{name}")
            field.description = _first(
                words, field.description, FIELDS.get(name), _OF_RECORDS.get(name)
            )
            _describe_arguments(name, field.args)
    for name in schema.mutation_type.fields if schema.mutation_type else ():
        payload = schema.get_type(name[0].upper() + name[1:])
        if isinstance(payload, GraphQLObjectType):
            _describe_payload(payload, name)


def _describe_arguments(field: str, arguments: Mapping[str, GraphQLArgument]) -> None:
    filters = FILTERS if field.endswith("List") or field == "userInbox" else {}
    for name, argument in arguments.items():
        argument.description = _first(
            ARGUMENTS.get(f"{field}.{name}"),
            filters.get(name),
            ARGUMENTS.get(name),
            FIELDS.get(name),
            _OF_RECORDS.get(name),
            argument.description,
        )


def _describe_payload(payload: GraphQLObjectType, mutation: str) -> None:
    payload.description = f"What `{mutation}` answers."
    for name, field in payload.fields.items():
        if is_composite_type(field.type) and f"{payload.name}.{name}" not in FIELDS:
            field.description = "The record as it is after the change."


def _own_types(schema: GraphQLSchema) -> Iterator[GraphQLNamedType]:
    return (named for named in schema.type_map.values() if not named.name.startswith("__"))


def _first(*words: str | None) -> str | None:
    return next((each for each in words if each), None)
