"""The names and types of the wire contract as tables; `!` marks what is required."""

SPECIAL = {
    "createdAt": "DateTime",
    "updatedAt": "DateTime",
    "agents": "[JSONCamelCase]",
    "subtaskQueries": "[JSONCamelCase]",
    "inputFiles": "[JSONCamelCase]",
    "agentActions": "JSONCamelCase",
    "agentAction": "JSONCamelCase",
    "asyncTask": "JSONCamelCase",
    "iterationCount": "Int",
    "inDegree": "Int",
    "pageNumber": "Int",
    "pageSize": "Int",
    "limit": "Int",
    "total": "Int",
    "threadLifeMinutes": "Int",
    "primaryPath": "Boolean",
    "stream": "Boolean",
    "ok": "Boolean",
    "usage": "JSONCamelCase",
    "statuses": "[String]",
    "states": "[String]",
    "predecessors": "[String]",
    "coordination": "CoordinationType",
    "task": "TaskType",
    "taskSchedule": "TaskScheduleType",
    "session": "SessionType",
    "sessionAgent": "SessionAgentType",
    "sessionRun": "SessionRunType",
    "sessionAgents": "[SessionAgentType]",
    "sessionRuns": "[SessionRunType]",
    "procedureTaskSession": "ProcedureTaskSessionType",
    "sessions": "[SessionType]",
    "from": "DateTime",
    "to": "DateTime",
    "id": "ID",
}
"""Types by name; all other names are of type `String`."""

TYPES = {
    "CoordinationType": (
        "endpointId partId partitionKey coordinationUuid coordinationName coordinationDescription "
        "agents themeUuid updatedBy createdAt updatedAt"
    ),
    "TaskType": (
        "taskUuid coordinationUuid endpointId partitionKey taskName taskDescription"
        " initialTaskQuery subtaskQueries agentActions updatedBy createdAt updatedAt coordination"
    ),
    "TaskScheduleType": (
        "scheduleUuid taskUuid coordinationUuid endpointId partitionKey schedule status updatedBy "
        "createdAt updatedAt task coordination"
    ),
    "SessionType": (
        "sessionUuid coordinationUuid taskUuid userId endpointId partitionKey taskQuery inputFiles"
        " iterationCount subtaskQueries status logs updatedBy createdAt updatedAt coordination task"
        " sessionAgents sessionRuns"
    ),
    "SessionAgentType": (
        "sessionAgentUuid sessionUuid coordinationUuid agentUuid agentAction userInput agentInput "
        "agentOutput inDegree state notes updatedBy createdAt updatedAt session"
    ),
    "SessionRunType": (
        "runUuid sessionUuid coordinationUuid sessionAgentUuid threadUuid agentUuid endpointId "
        "partitionKey asyncTaskUuid asyncTask updatedBy createdAt updatedAt session sessionAgent"
    ),
    "AskOperationHubType": (
        "runUuid threadUuid agentUuid asyncTaskUuid sessionUuid coordinationUuid partitionKey "
        "updatedAt session"
    ),
    "ProcedureTaskSessionType": (
        "coordinationUuid sessionUuid taskUuid userId taskQuery partitionKey coordination "
        "session task"
    ),
}
NON_NULL = {
    "CoordinationType": "endpointId partitionKey coordinationUuid createdAt updatedAt",
    "TaskType": "taskUuid coordinationUuid endpointId partitionKey createdAt updatedAt",
    "TaskScheduleType": "scheduleUuid taskUuid endpointId partitionKey status createdAt updatedAt",
    "SessionType": (
        "sessionUuid coordinationUuid endpointId partitionKey status createdAt updatedAt"
    ),
    "SessionAgentType": "sessionAgentUuid sessionUuid state createdAt updatedAt",
    "SessionRunType": "runUuid sessionUuid endpointId partitionKey createdAt updatedAt",
}
"""Fields that are never null, by type: every write of a record sets them."""

ADDED = {
    "Node": {"id": "ID!"},
    "SessionCountsType": {
        "byStatus": "[SessionCountType]",
        "waitsForPerson": "WaitingCountType",
        "bound": "Int",
    },
    "SessionCountType": {"status": "String!", "count": "Int!", "isLowerBound": "Boolean!"},
    "WaitingCountType": {"count": "Int!", "isLowerBound": "Boolean!"},
    "CoordinationType": {"id": "ID!", "cost": "CostType", "budget": "JSONCamelCase"},
    "TaskType": {
        "id": "ID!",
        "onFailure": "String",
        "placeholders": "String",
        "plan": "Boolean",
        "planLimits": "JSONCamelCase",
        "planFallback": "String",
        "exposeAs": "JSONCamelCase",
        "budget": "JSONCamelCase",
    },
    "TaskScheduleType": {
        "id": "ID!",
        "timezone": "String",
        "startAt": "DateTime",
        "endAt": "DateTime",
        "jitterSeconds": "Int",
        "overlapPolicy": "String",
        "catchupWindowSeconds": "Int",
        "maxRuns": "Int",
        "pauseOnFailure": "Boolean",
        "taskQuery": "String",
        "inputFiles": "[JSONCamelCase]",
        "userId": "String",
        "nextFireAt": "DateTime",
        "lastFireAt": "DateTime",
        "runCount": "Int",
        "skippedCount": "Int",
        "missedCount": "Int",
        "upcoming": "[String]",
        "sessions": "[SessionType]",
        "whyNotFired": "WhyNotFiredType",
    },
    "WhyNotFiredType": {"code": "String", "message": "String", "until": "DateTime"},
    "SessionType": {
        "id": "ID!",
        "definition": "JSONCamelCase",
        "waitsFor": "[String]",
        "cost": "CostType",
        "budgets": "[BudgetType]",
    },
    "SessionAgentType": {
        "id": "ID!",
        "agentName": "String",
        "sessionRuns": "[SessionRunType]",
        "attempt": "Int",
        "startedAt": "DateTime",
        "endedAt": "DateTime",
        "dueAt": "DateTime",
        "notBefore": "DateTime",
        "leaseUntil": "DateTime",
        "mapIndex": "Int",
        "mapSessionAgentUuid": "String",
        "phase": "String",
        "whyNotRunning": "WhyNotRunningType",
        "question": "JSONCamelCase",
        "successors": "[JSONCamelCase]",
    },
    "SessionRunType": {
        "id": "ID!",
        "status": "String",
        "attempt": "Int",
        "startedAt": "DateTime",
        "endedAt": "DateTime",
        "error": "String",
        "errorClass": "String",
        "inputTokens": "Int",
        "outputTokens": "Int",
        "totalTokens": "Int",
        "model": "String",
        "toolCalls": "[JSONCamelCase]",
        **dict.fromkeys(("cachedTokens", "cacheWriteTokens", "reasoningTokens"), "Int"),
        **dict.fromkeys(("requests", "costMicroUsd"), "Int"),
        "provider": "String",
        "priceVersion": "String",
    },
    "AskOperationHubType": {"sessionAgentUuid": "String"},
    "CostType": {
        **dict.fromkeys(("microUsd", "inputTokens", "outputTokens"), "Float"),
        "unpricedRuns": "Int",
    },
    "UsageByDayPageType": {"usageByDayList": "[UsageByDayType]", "nextCursor": "String"},
    "WhyNotRunningType": {
        "code": "String",
        "message": "String",
        "until": "DateTime",
        "waitsFor": "[SessionAgentType]",
        "details": "JSONCamelCase",
    },
    "UserInboxType": {
        "sessionAgentList": "[SessionAgentType]",
        "pageSize": "Int",
        "pageNumber": "Int",
        "total": "Int",
        "nextCursor": "String",
    },
    "CompleteAsyncTask": {"ok": "Boolean", "sessionAgent": "SessionAgentType"},
    "HeartbeatAsyncTask": {"ok": "Boolean"},
}
"""Fields that this server offers in addition to the contract, by type."""
CONTROLLED = "idempotencyKey updatedBy"
ADDED_QUERIES = {
    "node": ("id!", "Node"),
    "sessionCounts": ("statuses", "SessionCountsType"),
    "userInbox": (
        "pageNumber limit cursor userInTheLoop coordinationUuid sessionUuidPrefix"
        " sessionAgentUuidPrefix",
        "UserInboxType",
    ),
    "planSession": ("coordinationUuid! taskUuid! taskQuery", "PlanType"),
    "usageByDay": (
        "from! to! coordinationUuid agentUuid model limit cursor",
        "UsageByDayPageType",
    ),
}
ADDED_MUTATIONS = {
    **{
        f"{verb}Session": (f"coordinationUuid! sessionUuid! {CONTROLLED}", "session")
        for verb in ("cancel", "pause", "resume", "retry", "reconcile")
    },
    "rerunSessionAgent": (f"sessionUuid! sessionAgentUuid! {CONTROLLED}", "session"),
    "forkSession": (
        "coordinationUuid! sessionUuid! fromSessionAgentUuid taskQuery subtaskQuery inputFiles"
        " newSessionUuid userId " + CONTROLLED,
        "session",
    ),
    "completeAsyncTask": ("asyncTaskUuid! result error usage", "ok sessionAgent"),
    "heartbeatAsyncTask": ("asyncTaskUuid!", "ok"),
    "runTaskSchedule": (f"taskUuid! scheduleUuid! {CONTROLLED}", "taskSchedule sessions"),
    "backfillTaskSchedule": (
        f"taskUuid! scheduleUuid! from! to! overlapPolicy {CONTROLLED}",
        "taskSchedule sessions",
    ),
}
ASK = (
    "coordinationUuid! userQuery! userId agentUuid sessionUuid inputFiles receiverEmail threadUuid"
    " stream threadLifeMinutes"
)
QUERIES = {
    "ping": ("", "String"),
    "coordination": ("coordinationUuid!", "CoordinationType"),
    "coordinationList": (
        "pageNumber limit coordinationName coordinationDescription",
        "coordinationList",
    ),
    "task": ("coordinationUuid! taskUuid!", "TaskType"),
    "taskList": (
        "pageNumber limit coordinationUuid taskName taskDescription initialTaskQuery",
        "taskList",
    ),
    "taskSchedule": ("taskUuid! scheduleUuid!", "TaskScheduleType"),
    "taskScheduleList": ("pageNumber limit taskUuid coordinationUuid statuses", "taskScheduleList"),
    "session": ("coordinationUuid! sessionUuid!", "SessionType"),
    "sessionList": ("pageNumber limit coordinationUuid taskUuid userId statuses", "sessionList"),
    "sessionAgent": ("sessionUuid! sessionAgentUuid!", "SessionAgentType"),
    "sessionAgentList": (
        (
            "pageNumber limit sessionUuid coordinationUuid taskUuid agentUuid agentName primaryPath"
            " userInTheLoop predecessor predecessors inDegree states"
        ),
        "sessionAgentList",
    ),
    "sessionRun": ("sessionUuid! runUuid!", "SessionRunType"),
    "sessionRunList": (
        "pageNumber limit sessionUuid coordinationUuid agentUuid threadUuid",
        "sessionRunList",
    ),
    "askOperationHub": (ASK, "AskOperationHubType"),
}
MUTATIONS = {
    "insertUpdateCoordination": (
        "coordinationUuid coordinationName coordinationDescription agents themeUuid updatedBy!",
        "coordination",
    ),
    "deleteCoordination": ("coordinationUuid!", "ok"),
    "insertUpdateTask": (
        (
            "coordinationUuid! taskUuid taskName! taskDescription initialTaskQuery subtaskQueries"
            " agentActions updatedBy!"
        ),
        "task",
    ),
    "deleteTask": ("coordinationUuid! taskUuid!", "ok"),
    "insertUpdateTaskSchedule": (
        "taskUuid! scheduleUuid coordinationUuid schedule status updatedBy!",
        "taskSchedule",
    ),
    "deleteTaskSchedule": ("taskUuid! scheduleUuid!", "ok"),
    "insertUpdateSession": (
        (
            "coordinationUuid! sessionUuid taskUuid userId taskQuery inputFiles iterationCount"
            " subtaskQueries status logs updatedBy!"
        ),
        "session",
    ),
    "deleteSession": ("coordinationUuid! sessionUuid!", "ok"),
    "insertUpdateSessionAgent": (
        (
            "sessionUuid! sessionAgentUuid coordinationUuid agentUuid agentAction userInput"
            " agentInput agentOutput inDegree state notes updatedBy!"
        ),
        "sessionAgent",
    ),
    "deleteSessionAgent": ("sessionUuid! sessionAgentUuid!", "ok"),
    "insertUpdateSessionRun": (
        (
            "sessionUuid! runUuid! threadUuid! agentUuid! coordinationUuid! asyncTaskUuid!"
            " sessionAgentUuid updatedBy!"
        ),
        "sessionRun",
    ),
    "deleteSessionRun": ("sessionUuid! runUuid! coordinationUuid", "ok"),
    "executeProcedureTaskSession": (
        "coordinationUuid! taskUuid! userId taskQuery",
        "procedureTaskSession",
    ),
    "executeForUserInput": ("sessionUuid! sessionAgentUuid! userInput!", "ok"),
}


def type_of(name: str) -> str:
    """Return the type of a field or an argument; `name!` is required."""
    bare = name.removesuffix("!")
    return SPECIAL.get(bare, "String") + ("!" if name.endswith("!") else "")


SUBSCRIPTIONS = {
    "session": "SessionType",
    "sessionList": "SessionListType",
    "userInbox": "UserInboxType",
    "agentOutput": "AgentOutputType",
}
"""The answers of the subscriptions; their arguments are those of the queries of their names."""
