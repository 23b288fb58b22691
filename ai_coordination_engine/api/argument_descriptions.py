"""The descriptions of arguments in the GraphQL schema; `descriptions` applies them."""

from collections.abc import Mapping

ARGUMENTS: Mapping[str, str] = {
    "id": "The `id` of a record.",
    # Lists
    "pageNumber": (
        "The number of the page, from 1 (default). Works for the first 10,000 records; use"
        " `cursor` beyond that."
    ),
    "limit": "The number of records on a page: 1 to 1,000, 50 by default.",
    "cursor": "The `nextCursor` of the previous page; use the same filters.",
    "upcoming.limit": "The number of times: 1 to 100, 10 by default.",
    "sessions.limit": "The number of sessions: 1 to 25, 10 by default.",
    # Everywhere
    "updatedBy": "The name of the caller, stored with the record: at most 4,096 bytes.",
    "idempotencyKey": (
        "A key for this call (1 to 256 printable characters). A repeated call with the same"
        " key has no effect."
    ),
    "userId": "The user for whom the call is made; stored with the record.",
    "inputFiles": "Files or references for all agents, in any form.",
    "sessionAgentUuid": "The session agent's uuid.",
    "coordinationUuid": "The coordination's uuid.",
    "taskUuid": "The task's uuid.",
    "scheduleUuid": "The task schedule's uuid.",
    "sessionUuid": "The session's uuid.",
    "sessionCounts.statuses": (
        "Count only these statuses; `dispatched` counts as `in_progress`. Omitted: all."
    ),
    "usageByDay.coordinationUuid": "Only what its agents used.",
    "usageByDay.agentUuid": "Only what this agent used, in any coordination.",
    "usageByDay.model": "Only what was used of this model.",
    "runUuid": "The run's uuid.",
    "insertUpdateCoordination.coordinationUuid": (
        "The coordination to update, or the uuid of a new one. Omitted: the server creates a uuid."
    ),
    "insertUpdateTask.taskUuid": (
        "The task to update, or the uuid of a new one. Omitted: the server creates a uuid."
    ),
    "insertUpdateTaskSchedule.scheduleUuid": (
        "The schedule to update, or the uuid of a new one. Omitted: the server creates a uuid."
    ),
    "insertUpdateSession.sessionUuid": (
        "The session to update, or the uuid of a new one. Omitted: the server creates a uuid."
    ),
    "insertUpdateSessionAgent.sessionAgentUuid": (
        "The session agent to update, or the uuid of a new one. Omitted: the server creates a uuid."
    ),
    "insertUpdateSessionRun.sessionAgentUuid": "The session agent that made the attempt.",
    # Writing records: what is left out stays as it is
    "insertUpdateTaskSchedule.coordinationUuid": (
        "The coordination of the task; required to create a schedule."
    ),
    "insertUpdateTaskSchedule.status": (
        "One of initial (default), active, paused, completed. The schedule fires while it is"
        " active."
    ),
    "insertUpdateTaskSchedule.taskQuery": (
        "The query of its sessions. Omitted: the task's `initialTaskQuery`."
    ),
    "insertUpdateSession.taskUuid": "The task to which the session belongs.",
    "insertUpdateSession.status": (
        "One of the statuses of a session. A final status cannot be changed."
    ),
    "insertUpdateSessionAgent.coordinationUuid": (
        "The coordination of the session; required to create a session agent."
    ),
    "insertUpdateSessionAgent.agentUuid": (
        "The uuid of the agent in the coordination; required to create a session agent."
    ),
    "insertUpdateSessionAgent.state": (
        "One of the states of a session agent. A final state cannot be changed, and an agent"
        " of a running session can only be ended."
    ),
    "insertUpdateSessionAgent.inDegree": (
        "The number of predecessors that have not ended. Cannot be set for agents that the"
        " engine planned."
    ),
    "insertUpdateSessionRun.agentUuid": "The agent that ran.",
    "deleteSessionRun.coordinationUuid": "Not needed: session and run identify it.",
    # Starting, answering, asking
    "executeProcedureTaskSession.sessionUuid": (
        "The uuid of the new session. With it, a repeated call returns the same session."
    ),
    "executeProcedureTaskSession.taskQuery": (
        "The query of the session. Omitted: the task's `initialTaskQuery`."
    ),
    "executeForUserInput.userInput": (
        "The answer; it must match the `answerSchema` of the agent's question or action."
    ),
    "executeForUserInput.questionId": (
        "The `id` of the agent's `question`. With it, an answer that arrives late or twice cannot"
        " be taken for the answer to the next question."
    ),
    "executeForUserInput.idempotencyKey": (
        "Accepted but not needed: repeating the same answer has no effect."
    ),
    "userQuery": "The question; must not be empty.",
    "askOperationHub.agentUuid": (
        "The agent to ask. Omitted: the agent that answered last on the thread, else the triage"
        " agent, else the first agent."
    ),
    "askOperationHub.whenBusy": (
        "What to do while the last question on the thread is still being answered: `enqueue` (the"
        " default) waits for its answer, `reject` refuses the question, `interrupt` cancels the"
        " earlier one."
    ),
    "askOperationHub.sessionUuid": "The session in which to ask. Omitted: a new session.",
    "askOperationHub.threadUuid": (
        "The thread of that session to continue. Omitted: a new thread."
    ),
    "receiverEmail": (
        "The e-mail address of the receiver; stored in the notes of the session agent."
    ),
    "stream": "Accepted with a warning: answers are not streamed.",
    "threadLifeMinutes": (
        "The maximum age of the thread's latest message, in minutes. An older thread is not"
        " continued."
    ),
    # Control
    "fromSessionAgentUuid": (
        "The session agent at which the fork begins. Omitted: all agents that did not complete run."
    ),
    "forkSession.taskQuery": "The query of the fork. Omitted: that of the original session.",
    "subtaskQuery": (
        "The question for the agent `fromSessionAgentUuid`. Omitted: its original one."
    ),
    "forkSession.inputFiles": "The files of the fork. Omitted: those of the original session.",
    "newSessionUuid": (
        "The uuid of the new session. With it, a repeated call returns the same session."
        " Omitted: the server creates a uuid."
    ),
    "asyncTaskUuid": "The uuid of the job, as announced by the agent's runtime.",
    "insertUpdateSessionRun.asyncTaskUuid": "The uuid of the job that did the work.",
    "insertUpdateSessionRun.threadUuid": "The thread to which the run belongs.",
    "result": "The job's output, at most 8,000,000 characters. Give either this or `error`.",
    "completeAsyncTask.error": "Why the job failed, in words. Give either this or `result`.",
    "usage": (
        "What the job used: an object of numbers and short texts, such as `inputTokens` and"
        " `model`."
    ),
    "reconcileSession.idempotencyKey": (
        "Accepted but not needed: repeating the call has no effect."
    ),
    # Schedules
    "runTaskSchedule.idempotencyKey": (
        "A key for this call (1 to 256 printable characters). A repeated call with the same"
        " key returns the same session."
    ),
    "backfillTaskSchedule.idempotencyKey": (
        "Accepted but not needed: each time of a schedule has at most one session."
    ),
    "backfillTaskSchedule.from": "The first time of the range, inclusive; in the past.",
    "backfillTaskSchedule.to": "The last time of the range, inclusive; in the past.",
    "backfillTaskSchedule.overlapPolicy": (
        "What to do with times whose sessions would overlap: `allow_all` (default) starts one"
        " for each."
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
    "primaryPath": "Only those whose action has this `primaryPath`.",
    "userInTheLoop": "Only those that ask this person.",
    "predecessor": "Only those whose action has this agent among its predecessors.",
    "predecessors": "Only those whose `agentUuid` is one of these.",
    "sessionUuidPrefix": "Only those of sessions whose uuid begins with this text.",
    "sessionAgentUuidPrefix": "Only session agents whose uuid begins with this text.",
    "waitsForPerson": (
        "Only those in which an agent waits for a person; false: only the others. The 1,000"
        " latest questions of the tenant are looked at; if there are more, a warning says so."
    ),
    "inDegree": "Only those with this number of predecessors that have not ended.",
}
