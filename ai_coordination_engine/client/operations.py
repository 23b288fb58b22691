"""The operations of the API. Generated from the schema by `make client`: do not edit."""

from datetime import datetime

from ai_coordination_engine.client.model import Json, Page
from ai_coordination_engine.client.operation import UNSET, Operation, Unset, given
from ai_coordination_engine.client.records import (
    AgentOutput,
    AskOperationHub,
    BackfillTaskSchedule,
    CompleteAsyncTask,
    Coordination,
    Plan,
    ProcedureTaskSession,
    RunTaskSchedule,
    Session,
    SessionAgent,
    SessionCounts,
    SessionRun,
    Task,
    TaskSchedule,
    UsageByDay,
)
from ai_coordination_engine.client.repeats import is_repeatable

_PING = """
query ping { ping }
"""


def ping() -> Operation[str | None]:
    """`Hello at ` and the server's time."""
    variables = given({})
    return Operation("ping", _PING, variables, ("ping",), str | None, True)


_COORDINATION = (
    """
query coordination($coordinationUuid: String!) { coordination(coordinationUuid:
  $coordinationUuid) { ...Coordination } }
"""
    + Coordination.fragment
)


def coordination(*, coordination_uuid: str) -> Operation[Coordination | None]:
    """The coordination; null when it does not exist."""
    variables = given({"coordinationUuid": coordination_uuid})
    return Operation(
        "coordination", _COORDINATION, variables, ("coordination",), Coordination | None, True
    )


_COORDINATION_LIST = (
    """
query coordinationList($coordinationName: String, $coordinationDescription: String,
  $pageNumber: Int, $limit: Int, $cursor: String) { coordinationList(coordinationName:
  $coordinationName, coordinationDescription: $coordinationDescription, pageNumber:
  $pageNumber, limit: $limit, cursor: $cursor) { records: coordinationList { ...Coordination }
  nextCursor } }
"""
    + Coordination.fragment
)


def coordination_list(
    *,
    coordination_name: str | Unset | None = UNSET,
    coordination_description: str | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[Coordination]]:
    """Coordinations, the latest first."""
    variables = given(
        {
            "coordinationName": coordination_name,
            "coordinationDescription": coordination_description,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "coordinationList",
        _COORDINATION_LIST,
        variables,
        ("coordinationList",),
        Page[Coordination],
        True,
    )


_TASK = (
    """
query task($coordinationUuid: String!, $taskUuid: String!) { task(coordinationUuid:
  $coordinationUuid, taskUuid: $taskUuid) { ...Task } }
"""
    + Task.fragment
)


def task(*, coordination_uuid: str, task_uuid: str) -> Operation[Task | None]:
    """The task; null when it does not exist or was deleted."""
    variables = given({"coordinationUuid": coordination_uuid, "taskUuid": task_uuid})
    return Operation("task", _TASK, variables, ("task",), Task | None, True)


_TASK_LIST = (
    """
query taskList($coordinationUuid: String, $taskName: String, $taskDescription: String,
  $initialTaskQuery: String, $pageNumber: Int, $limit: Int, $cursor: String) {
  taskList(coordinationUuid: $coordinationUuid, taskName: $taskName, taskDescription:
  $taskDescription, initialTaskQuery: $initialTaskQuery, pageNumber: $pageNumber, limit:
  $limit, cursor: $cursor) { records: taskList { ...Task } nextCursor } }
"""
    + Task.fragment
)


def task_list(
    *,
    coordination_uuid: str | Unset | None = UNSET,
    task_name: str | Unset | None = UNSET,
    task_description: str | Unset | None = UNSET,
    initial_task_query: str | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[Task]]:
    """Tasks, the latest first."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "taskName": task_name,
            "taskDescription": task_description,
            "initialTaskQuery": initial_task_query,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation("taskList", _TASK_LIST, variables, ("taskList",), Page[Task], True)


_TASK_SCHEDULE = (
    """
query taskSchedule($taskUuid: String!, $scheduleUuid: String!) { taskSchedule(taskUuid:
  $taskUuid, scheduleUuid: $scheduleUuid) { ...TaskSchedule } }
"""
    + TaskSchedule.fragment
)


def task_schedule(*, task_uuid: str, schedule_uuid: str) -> Operation[TaskSchedule | None]:
    """The task schedule; null when it does not exist."""
    variables = given({"taskUuid": task_uuid, "scheduleUuid": schedule_uuid})
    return Operation(
        "taskSchedule", _TASK_SCHEDULE, variables, ("taskSchedule",), TaskSchedule | None, True
    )


_TASK_SCHEDULE_LIST = (
    """
query taskScheduleList($taskUuid: String, $coordinationUuid: String, $statuses: [String],
  $pageNumber: Int, $limit: Int, $cursor: String) { taskScheduleList(taskUuid: $taskUuid,
  coordinationUuid: $coordinationUuid, statuses: $statuses, pageNumber: $pageNumber, limit:
  $limit, cursor: $cursor) { records: taskScheduleList { ...TaskSchedule } nextCursor } }
"""
    + TaskSchedule.fragment
)


def task_schedule_list(
    *,
    task_uuid: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    statuses: list[str] | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[TaskSchedule]]:
    """Task schedules, the latest first."""
    variables = given(
        {
            "taskUuid": task_uuid,
            "coordinationUuid": coordination_uuid,
            "statuses": statuses,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "taskScheduleList",
        _TASK_SCHEDULE_LIST,
        variables,
        ("taskScheduleList",),
        Page[TaskSchedule],
        True,
    )


_SESSION = (
    """
query session($coordinationUuid: String!, $sessionUuid: String!) { session(coordinationUuid:
  $coordinationUuid, sessionUuid: $sessionUuid) { ...Session } }
"""
    + Session.fragment
)


def session(*, coordination_uuid: str, session_uuid: str) -> Operation[Session | None]:
    """The session; null when it does not exist."""
    variables = given({"coordinationUuid": coordination_uuid, "sessionUuid": session_uuid})
    return Operation("session", _SESSION, variables, ("session",), Session | None, True)


_SESSION_LIST = (
    """
query sessionList($coordinationUuid: String, $taskUuid: String, $userId: String, $statuses:
  [String], $sessionUuidPrefix: String, $waitsForPerson: Boolean, $pageNumber: Int, $limit:
  Int, $cursor: String) { sessionList(coordinationUuid: $coordinationUuid, taskUuid:
  $taskUuid, userId: $userId, statuses: $statuses, sessionUuidPrefix: $sessionUuidPrefix,
  waitsForPerson: $waitsForPerson, pageNumber: $pageNumber, limit: $limit, cursor: $cursor) {
  records: sessionList { ...Session } nextCursor } }
"""
    + Session.fragment
)


def session_list(
    *,
    coordination_uuid: str | Unset | None = UNSET,
    task_uuid: str | Unset | None = UNSET,
    user_id: str | Unset | None = UNSET,
    statuses: list[str] | Unset | None = UNSET,
    session_uuid_prefix: str | Unset | None = UNSET,
    waits_for_person: bool | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[Session]]:
    """Sessions in descending order of their uuids. Uuids that the server made sort by time: the latest comes first."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "taskUuid": task_uuid,
            "userId": user_id,
            "statuses": statuses,
            "sessionUuidPrefix": session_uuid_prefix,
            "waitsForPerson": waits_for_person,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation("sessionList", _SESSION_LIST, variables, ("sessionList",), Page[Session], True)


_SESSION_AGENT = (
    """
query sessionAgent($sessionUuid: String!, $sessionAgentUuid: String!) {
  sessionAgent(sessionUuid: $sessionUuid, sessionAgentUuid: $sessionAgentUuid) {
  ...SessionAgent } }
"""
    + SessionAgent.fragment
)


def session_agent(*, session_uuid: str, session_agent_uuid: str) -> Operation[SessionAgent | None]:
    """The session agent; null when it does not exist."""
    variables = given({"sessionUuid": session_uuid, "sessionAgentUuid": session_agent_uuid})
    return Operation(
        "sessionAgent", _SESSION_AGENT, variables, ("sessionAgent",), SessionAgent | None, True
    )


_SESSION_AGENT_LIST = (
    """
query sessionAgentList($sessionUuid: String, $coordinationUuid: String, $taskUuid: String,
  $agentUuid: String, $agentName: String, $primaryPath: Boolean, $userInTheLoop: String,
  $predecessor: String, $predecessors: [String], $sessionAgentUuidPrefix: String, $inDegree:
  Int, $states: [String], $pageNumber: Int, $limit: Int, $cursor: String) {
  sessionAgentList(sessionUuid: $sessionUuid, coordinationUuid: $coordinationUuid, taskUuid:
  $taskUuid, agentUuid: $agentUuid, agentName: $agentName, primaryPath: $primaryPath,
  userInTheLoop: $userInTheLoop, predecessor: $predecessor, predecessors: $predecessors,
  sessionAgentUuidPrefix: $sessionAgentUuidPrefix, inDegree: $inDegree, states: $states,
  pageNumber: $pageNumber, limit: $limit, cursor: $cursor) { records: sessionAgentList {
  ...SessionAgent } nextCursor } }
"""
    + SessionAgent.fragment
)


def session_agent_list(
    *,
    session_uuid: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    task_uuid: str | Unset | None = UNSET,
    agent_uuid: str | Unset | None = UNSET,
    agent_name: str | Unset | None = UNSET,
    primary_path: bool | Unset | None = UNSET,
    user_in_the_loop: str | Unset | None = UNSET,
    predecessor: str | Unset | None = UNSET,
    predecessors: list[str] | Unset | None = UNSET,
    session_agent_uuid_prefix: str | Unset | None = UNSET,
    in_degree: int | Unset | None = UNSET,
    states: list[str] | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[SessionAgent]]:
    """Session agents of one session, in the order of the task."""
    variables = given(
        {
            "sessionUuid": session_uuid,
            "coordinationUuid": coordination_uuid,
            "taskUuid": task_uuid,
            "agentUuid": agent_uuid,
            "agentName": agent_name,
            "primaryPath": primary_path,
            "userInTheLoop": user_in_the_loop,
            "predecessor": predecessor,
            "predecessors": predecessors,
            "sessionAgentUuidPrefix": session_agent_uuid_prefix,
            "inDegree": in_degree,
            "states": states,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "sessionAgentList",
        _SESSION_AGENT_LIST,
        variables,
        ("sessionAgentList",),
        Page[SessionAgent],
        True,
    )


_SESSION_RUN = (
    """
query sessionRun($sessionUuid: String!, $runUuid: String!) { sessionRun(sessionUuid:
  $sessionUuid, runUuid: $runUuid) { ...SessionRun } }
"""
    + SessionRun.fragment
)


def session_run(*, session_uuid: str, run_uuid: str) -> Operation[SessionRun | None]:
    """The session run; null when it does not exist."""
    variables = given({"sessionUuid": session_uuid, "runUuid": run_uuid})
    return Operation(
        "sessionRun", _SESSION_RUN, variables, ("sessionRun",), SessionRun | None, True
    )


_SESSION_RUN_LIST = (
    """
query sessionRunList($sessionUuid: String, $coordinationUuid: String, $agentUuid: String,
  $threadUuid: String, $pageNumber: Int, $limit: Int, $cursor: String) {
  sessionRunList(sessionUuid: $sessionUuid, coordinationUuid: $coordinationUuid, agentUuid:
  $agentUuid, threadUuid: $threadUuid, pageNumber: $pageNumber, limit: $limit, cursor:
  $cursor) { records: sessionRunList { ...SessionRun } nextCursor } }
"""
    + SessionRun.fragment
)


def session_run_list(
    *,
    session_uuid: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    agent_uuid: str | Unset | None = UNSET,
    thread_uuid: str | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[SessionRun]]:
    """Session runs of one session, in order of creation."""
    variables = given(
        {
            "sessionUuid": session_uuid,
            "coordinationUuid": coordination_uuid,
            "agentUuid": agent_uuid,
            "threadUuid": thread_uuid,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "sessionRunList", _SESSION_RUN_LIST, variables, ("sessionRunList",), Page[SessionRun], True
    )


_USER_INBOX = (
    """
query userInbox($userInTheLoop: String, $coordinationUuid: String, $sessionUuidPrefix:
  String, $sessionAgentUuidPrefix: String, $pageNumber: Int, $limit: Int, $cursor: String) {
  userInbox(userInTheLoop: $userInTheLoop, coordinationUuid: $coordinationUuid,
  sessionUuidPrefix: $sessionUuidPrefix, sessionAgentUuidPrefix: $sessionAgentUuidPrefix,
  pageNumber: $pageNumber, limit: $limit, cursor: $cursor) { records: sessionAgentList {
  ...SessionAgent } nextCursor } }
"""
    + SessionAgent.fragment
)


def user_inbox(
    *,
    user_in_the_loop: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    session_uuid_prefix: str | Unset | None = UNSET,
    session_agent_uuid_prefix: str | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[SessionAgent]]:
    """The session agents of all sessions that wait for a person's answer, the latest first."""
    variables = given(
        {
            "userInTheLoop": user_in_the_loop,
            "coordinationUuid": coordination_uuid,
            "sessionUuidPrefix": session_uuid_prefix,
            "sessionAgentUuidPrefix": session_agent_uuid_prefix,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation("userInbox", _USER_INBOX, variables, ("userInbox",), Page[SessionAgent], True)


_SESSION_COUNTS = (
    """
query sessionCounts($statuses: [String]) { sessionCounts(statuses: $statuses) {
  ...SessionCounts } }
"""
    + SessionCounts.fragment
)


def session_counts(
    *, statuses: list[str] | Unset | None = UNSET
) -> Operation[SessionCounts | None]:
    """The number of sessions by status, and of those that wait for a person."""
    variables = given({"statuses": statuses})
    return Operation(
        "sessionCounts", _SESSION_COUNTS, variables, ("sessionCounts",), SessionCounts | None, True
    )


_USAGE_BY_DAY = (
    """
query usageByDay($from: DateTime!, $to: DateTime!, $coordinationUuid: String, $agentUuid:
  String, $model: String, $limit: Int, $cursor: String) { usageByDay(from: $from, to: $to,
  coordinationUuid: $coordinationUuid, agentUuid: $agentUuid, model: $model, limit: $limit,
  cursor: $cursor) { records: usageByDayList { ...UsageByDay } nextCursor } }
"""
    + UsageByDay.fragment
)


def usage_by_day(
    *,
    from_: datetime,
    to: datetime,
    coordination_uuid: str | Unset | None = UNSET,
    agent_uuid: str | Unset | None = UNSET,
    model: str | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[UsageByDay]]:
    """What the tenant's agents used, by day, coordination, agent and model. A session is counted when it has ended."""
    variables = given(
        {
            "from": from_,
            "to": to,
            "coordinationUuid": coordination_uuid,
            "agentUuid": agent_uuid,
            "model": model,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "usageByDay", _USAGE_BY_DAY, variables, ("usageByDay",), Page[UsageByDay], True
    )


_PLAN_SESSION = (
    """
query planSession($coordinationUuid: String!, $taskUuid: String!, $taskQuery: String) {
  planSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid, taskQuery: $taskQuery)
  { ...Plan } }
"""
    + Plan.fragment
)


def plan_session(
    *, coordination_uuid: str, task_uuid: str, task_query: str | Unset | None = UNSET
) -> Operation[Plan | None]:
    """What a start of the task would do; nothing is written. Null if the task does not exist, an error if it cannot be started."""
    variables = given(
        {"coordinationUuid": coordination_uuid, "taskUuid": task_uuid, "taskQuery": task_query}
    )
    return Operation("planSession", _PLAN_SESSION, variables, ("planSession",), Plan | None, True)


_INSERT_UPDATE_COORDINATION = (
    """
mutation insertUpdateCoordination($updatedBy: String!, $agents: [JSONCamelCase], $budget:
  JSONCamelCase, $coordinationDescription: String, $coordinationName: String,
  $coordinationUuid: String, $themeUuid: String) { insertUpdateCoordination(updatedBy:
  $updatedBy, agents: $agents, budget: $budget, coordinationDescription:
  $coordinationDescription, coordinationName: $coordinationName, coordinationUuid:
  $coordinationUuid, themeUuid: $themeUuid) { coordination { ...Coordination } } }
"""
    + Coordination.fragment
)


def insert_update_coordination(
    *,
    updated_by: str,
    agents: list[Json] | Unset | None = UNSET,
    budget: Json | Unset | None = UNSET,
    coordination_description: str | Unset | None = UNSET,
    coordination_name: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    theme_uuid: str | Unset | None = UNSET,
) -> Operation[Coordination]:
    """Create the coordination, or update the given fields."""
    variables = given(
        {
            "updatedBy": updated_by,
            "agents": agents,
            "budget": budget,
            "coordinationDescription": coordination_description,
            "coordinationName": coordination_name,
            "coordinationUuid": coordination_uuid,
            "themeUuid": theme_uuid,
        }
    )
    return Operation(
        "insertUpdateCoordination",
        _INSERT_UPDATE_COORDINATION,
        variables,
        ("insertUpdateCoordination", "coordination"),
        Coordination,
        is_repeatable("insertUpdateCoordination", variables),
    )


_DELETE_COORDINATION = """
mutation deleteCoordination($coordinationUuid: String!) {
  deleteCoordination(coordinationUuid: $coordinationUuid) { ok } }
"""


def delete_coordination(*, coordination_uuid: str) -> Operation[bool]:
    """Delete the coordination; an error when other records depend on it."""
    variables = given({"coordinationUuid": coordination_uuid})
    return Operation(
        "deleteCoordination",
        _DELETE_COORDINATION,
        variables,
        ("deleteCoordination", "ok"),
        bool,
        is_repeatable("deleteCoordination", variables),
    )


_INSERT_UPDATE_TASK = (
    """
mutation insertUpdateTask($coordinationUuid: String!, $taskName: String!, $updatedBy:
  String!, $agentActions: JSONCamelCase, $budget: JSONCamelCase, $exposeAs: JSONCamelCase,
  $initialTaskQuery: String, $onFailure: String, $placeholders: String, $plan: Boolean,
  $planFallback: String, $planLimits: JSONCamelCase, $subtaskQueries: [JSONCamelCase],
  $taskDescription: String, $taskUuid: String) { insertUpdateTask(coordinationUuid:
  $coordinationUuid, taskName: $taskName, updatedBy: $updatedBy, agentActions: $agentActions,
  budget: $budget, exposeAs: $exposeAs, initialTaskQuery: $initialTaskQuery, onFailure:
  $onFailure, placeholders: $placeholders, plan: $plan, planFallback: $planFallback,
  planLimits: $planLimits, subtaskQueries: $subtaskQueries, taskDescription: $taskDescription,
  taskUuid: $taskUuid) { task { ...Task } } }
"""
    + Task.fragment
)


def insert_update_task(
    *,
    coordination_uuid: str,
    task_name: str,
    updated_by: str,
    agent_actions: Json | Unset | None = UNSET,
    budget: Json | Unset | None = UNSET,
    expose_as: Json | Unset | None = UNSET,
    initial_task_query: str | Unset | None = UNSET,
    on_failure: str | Unset | None = UNSET,
    placeholders: str | Unset | None = UNSET,
    plan: bool | Unset | None = UNSET,
    plan_fallback: str | Unset | None = UNSET,
    plan_limits: Json | Unset | None = UNSET,
    subtask_queries: list[Json] | Unset | None = UNSET,
    task_description: str | Unset | None = UNSET,
    task_uuid: str | Unset | None = UNSET,
) -> Operation[Task]:
    """Create the task, or update the given fields."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "taskName": task_name,
            "updatedBy": updated_by,
            "agentActions": agent_actions,
            "budget": budget,
            "exposeAs": expose_as,
            "initialTaskQuery": initial_task_query,
            "onFailure": on_failure,
            "placeholders": placeholders,
            "plan": plan,
            "planFallback": plan_fallback,
            "planLimits": plan_limits,
            "subtaskQueries": subtask_queries,
            "taskDescription": task_description,
            "taskUuid": task_uuid,
        }
    )
    return Operation(
        "insertUpdateTask",
        _INSERT_UPDATE_TASK,
        variables,
        ("insertUpdateTask", "task"),
        Task,
        is_repeatable("insertUpdateTask", variables),
    )


_DELETE_TASK = """
mutation deleteTask($coordinationUuid: String!, $taskUuid: String!) {
  deleteTask(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid) { ok } }
"""


def delete_task(*, coordination_uuid: str, task_uuid: str) -> Operation[bool]:
    """Delete the task; an error when other records depend on it."""
    variables = given({"coordinationUuid": coordination_uuid, "taskUuid": task_uuid})
    return Operation(
        "deleteTask",
        _DELETE_TASK,
        variables,
        ("deleteTask", "ok"),
        bool,
        is_repeatable("deleteTask", variables),
    )


_INSERT_UPDATE_TASK_SCHEDULE = (
    """
mutation insertUpdateTaskSchedule($taskUuid: String!, $updatedBy: String!,
  $catchupWindowSeconds: Int, $coordinationUuid: String, $endAt: DateTime, $inputFiles:
  [JSONCamelCase], $jitterSeconds: Int, $maxRuns: Int, $overlapPolicy: String,
  $pauseOnFailure: Boolean, $schedule: String, $scheduleUuid: String, $startAt: DateTime,
  $status: String, $taskQuery: String, $timezone: String, $userId: String) {
  insertUpdateTaskSchedule(taskUuid: $taskUuid, updatedBy: $updatedBy, catchupWindowSeconds:
  $catchupWindowSeconds, coordinationUuid: $coordinationUuid, endAt: $endAt, inputFiles:
  $inputFiles, jitterSeconds: $jitterSeconds, maxRuns: $maxRuns, overlapPolicy:
  $overlapPolicy, pauseOnFailure: $pauseOnFailure, schedule: $schedule, scheduleUuid:
  $scheduleUuid, startAt: $startAt, status: $status, taskQuery: $taskQuery, timezone:
  $timezone, userId: $userId) { taskSchedule { ...TaskSchedule } } }
"""
    + TaskSchedule.fragment
)


def insert_update_task_schedule(
    *,
    task_uuid: str,
    updated_by: str,
    catchup_window_seconds: int | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    end_at: datetime | Unset | None = UNSET,
    input_files: list[Json] | Unset | None = UNSET,
    jitter_seconds: int | Unset | None = UNSET,
    max_runs: int | Unset | None = UNSET,
    overlap_policy: str | Unset | None = UNSET,
    pause_on_failure: bool | Unset | None = UNSET,
    schedule: str | Unset | None = UNSET,
    schedule_uuid: str | Unset | None = UNSET,
    start_at: datetime | Unset | None = UNSET,
    status: str | Unset | None = UNSET,
    task_query: str | Unset | None = UNSET,
    timezone: str | Unset | None = UNSET,
    user_id: str | Unset | None = UNSET,
) -> Operation[TaskSchedule]:
    """Create the task schedule, or update the given fields."""
    variables = given(
        {
            "taskUuid": task_uuid,
            "updatedBy": updated_by,
            "catchupWindowSeconds": catchup_window_seconds,
            "coordinationUuid": coordination_uuid,
            "endAt": end_at,
            "inputFiles": input_files,
            "jitterSeconds": jitter_seconds,
            "maxRuns": max_runs,
            "overlapPolicy": overlap_policy,
            "pauseOnFailure": pause_on_failure,
            "schedule": schedule,
            "scheduleUuid": schedule_uuid,
            "startAt": start_at,
            "status": status,
            "taskQuery": task_query,
            "timezone": timezone,
            "userId": user_id,
        }
    )
    return Operation(
        "insertUpdateTaskSchedule",
        _INSERT_UPDATE_TASK_SCHEDULE,
        variables,
        ("insertUpdateTaskSchedule", "taskSchedule"),
        TaskSchedule,
        is_repeatable("insertUpdateTaskSchedule", variables),
    )


_DELETE_TASK_SCHEDULE = """
mutation deleteTaskSchedule($scheduleUuid: String!, $taskUuid: String!) {
  deleteTaskSchedule(scheduleUuid: $scheduleUuid, taskUuid: $taskUuid) { ok } }
"""


def delete_task_schedule(*, schedule_uuid: str, task_uuid: str) -> Operation[bool]:
    """Delete the task schedule; an error when other records depend on it."""
    variables = given({"scheduleUuid": schedule_uuid, "taskUuid": task_uuid})
    return Operation(
        "deleteTaskSchedule",
        _DELETE_TASK_SCHEDULE,
        variables,
        ("deleteTaskSchedule", "ok"),
        bool,
        is_repeatable("deleteTaskSchedule", variables),
    )


_INSERT_UPDATE_SESSION = (
    """
mutation insertUpdateSession($coordinationUuid: String!, $updatedBy: String!, $inputFiles:
  [JSONCamelCase], $iterationCount: Int, $logs: String, $sessionUuid: String, $status: String,
  $subtaskQueries: [JSONCamelCase], $taskQuery: String, $taskUuid: String, $userId: String) {
  insertUpdateSession(coordinationUuid: $coordinationUuid, updatedBy: $updatedBy, inputFiles:
  $inputFiles, iterationCount: $iterationCount, logs: $logs, sessionUuid: $sessionUuid,
  status: $status, subtaskQueries: $subtaskQueries, taskQuery: $taskQuery, taskUuid:
  $taskUuid, userId: $userId) { session { ...Session } } }
"""
    + Session.fragment
)


def insert_update_session(
    *,
    coordination_uuid: str,
    updated_by: str,
    input_files: list[Json] | Unset | None = UNSET,
    iteration_count: int | Unset | None = UNSET,
    logs: str | Unset | None = UNSET,
    session_uuid: str | Unset | None = UNSET,
    status: str | Unset | None = UNSET,
    subtask_queries: list[Json] | Unset | None = UNSET,
    task_query: str | Unset | None = UNSET,
    task_uuid: str | Unset | None = UNSET,
    user_id: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Create the session, or update the given fields."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "updatedBy": updated_by,
            "inputFiles": input_files,
            "iterationCount": iteration_count,
            "logs": logs,
            "sessionUuid": session_uuid,
            "status": status,
            "subtaskQueries": subtask_queries,
            "taskQuery": task_query,
            "taskUuid": task_uuid,
            "userId": user_id,
        }
    )
    return Operation(
        "insertUpdateSession",
        _INSERT_UPDATE_SESSION,
        variables,
        ("insertUpdateSession", "session"),
        Session,
        is_repeatable("insertUpdateSession", variables),
    )


_DELETE_SESSION = """
mutation deleteSession($coordinationUuid: String!, $sessionUuid: String!) {
  deleteSession(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) { ok } }
"""


def delete_session(*, coordination_uuid: str, session_uuid: str) -> Operation[bool]:
    """Delete the session; an error when other records depend on it."""
    variables = given({"coordinationUuid": coordination_uuid, "sessionUuid": session_uuid})
    return Operation(
        "deleteSession",
        _DELETE_SESSION,
        variables,
        ("deleteSession", "ok"),
        bool,
        is_repeatable("deleteSession", variables),
    )


_INSERT_UPDATE_SESSION_AGENT = (
    """
mutation insertUpdateSessionAgent($sessionUuid: String!, $updatedBy: String!, $agentAction:
  JSONCamelCase, $agentInput: String, $agentOutput: String, $agentUuid: String,
  $coordinationUuid: String, $inDegree: Int, $notes: String, $sessionAgentUuid: String,
  $state: String, $userInput: String) { insertUpdateSessionAgent(sessionUuid: $sessionUuid,
  updatedBy: $updatedBy, agentAction: $agentAction, agentInput: $agentInput, agentOutput:
  $agentOutput, agentUuid: $agentUuid, coordinationUuid: $coordinationUuid, inDegree:
  $inDegree, notes: $notes, sessionAgentUuid: $sessionAgentUuid, state: $state, userInput:
  $userInput) { sessionAgent { ...SessionAgent } } }
"""
    + SessionAgent.fragment
)


def insert_update_session_agent(
    *,
    session_uuid: str,
    updated_by: str,
    agent_action: Json | Unset | None = UNSET,
    agent_input: str | Unset | None = UNSET,
    agent_output: str | Unset | None = UNSET,
    agent_uuid: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    in_degree: int | Unset | None = UNSET,
    notes: str | Unset | None = UNSET,
    session_agent_uuid: str | Unset | None = UNSET,
    state: str | Unset | None = UNSET,
    user_input: str | Unset | None = UNSET,
) -> Operation[SessionAgent]:
    """Create the session agent, or update the given fields."""
    variables = given(
        {
            "sessionUuid": session_uuid,
            "updatedBy": updated_by,
            "agentAction": agent_action,
            "agentInput": agent_input,
            "agentOutput": agent_output,
            "agentUuid": agent_uuid,
            "coordinationUuid": coordination_uuid,
            "inDegree": in_degree,
            "notes": notes,
            "sessionAgentUuid": session_agent_uuid,
            "state": state,
            "userInput": user_input,
        }
    )
    return Operation(
        "insertUpdateSessionAgent",
        _INSERT_UPDATE_SESSION_AGENT,
        variables,
        ("insertUpdateSessionAgent", "sessionAgent"),
        SessionAgent,
        is_repeatable("insertUpdateSessionAgent", variables),
    )


_DELETE_SESSION_AGENT = """
mutation deleteSessionAgent($sessionAgentUuid: String!, $sessionUuid: String!) {
  deleteSessionAgent(sessionAgentUuid: $sessionAgentUuid, sessionUuid: $sessionUuid) { ok } }
"""


def delete_session_agent(*, session_agent_uuid: str, session_uuid: str) -> Operation[bool]:
    """Delete the session agent; an error when other records depend on it."""
    variables = given({"sessionAgentUuid": session_agent_uuid, "sessionUuid": session_uuid})
    return Operation(
        "deleteSessionAgent",
        _DELETE_SESSION_AGENT,
        variables,
        ("deleteSessionAgent", "ok"),
        bool,
        is_repeatable("deleteSessionAgent", variables),
    )


_INSERT_UPDATE_SESSION_RUN = (
    """
mutation insertUpdateSessionRun($agentUuid: String!, $asyncTaskUuid: String!,
  $coordinationUuid: String!, $runUuid: String!, $sessionUuid: String!, $threadUuid: String!,
  $updatedBy: String!, $sessionAgentUuid: String) { insertUpdateSessionRun(agentUuid:
  $agentUuid, asyncTaskUuid: $asyncTaskUuid, coordinationUuid: $coordinationUuid, runUuid:
  $runUuid, sessionUuid: $sessionUuid, threadUuid: $threadUuid, updatedBy: $updatedBy,
  sessionAgentUuid: $sessionAgentUuid) { sessionRun { ...SessionRun } } }
"""
    + SessionRun.fragment
)


def insert_update_session_run(
    *,
    agent_uuid: str,
    async_task_uuid: str,
    coordination_uuid: str,
    run_uuid: str,
    session_uuid: str,
    thread_uuid: str,
    updated_by: str,
    session_agent_uuid: str | Unset | None = UNSET,
) -> Operation[SessionRun]:
    """Create the session run; it never changes."""
    variables = given(
        {
            "agentUuid": agent_uuid,
            "asyncTaskUuid": async_task_uuid,
            "coordinationUuid": coordination_uuid,
            "runUuid": run_uuid,
            "sessionUuid": session_uuid,
            "threadUuid": thread_uuid,
            "updatedBy": updated_by,
            "sessionAgentUuid": session_agent_uuid,
        }
    )
    return Operation(
        "insertUpdateSessionRun",
        _INSERT_UPDATE_SESSION_RUN,
        variables,
        ("insertUpdateSessionRun", "sessionRun"),
        SessionRun,
        is_repeatable("insertUpdateSessionRun", variables),
    )


_DELETE_SESSION_RUN = """
mutation deleteSessionRun($runUuid: String!, $sessionUuid: String!, $coordinationUuid:
  String) { deleteSessionRun(runUuid: $runUuid, sessionUuid: $sessionUuid, coordinationUuid:
  $coordinationUuid) { ok } }
"""


def delete_session_run(
    *, run_uuid: str, session_uuid: str, coordination_uuid: str | Unset | None = UNSET
) -> Operation[bool]:
    """Delete the session run; an error when other records depend on it."""
    variables = given(
        {"runUuid": run_uuid, "sessionUuid": session_uuid, "coordinationUuid": coordination_uuid}
    )
    return Operation(
        "deleteSessionRun",
        _DELETE_SESSION_RUN,
        variables,
        ("deleteSessionRun", "ok"),
        bool,
        is_repeatable("deleteSessionRun", variables),
    )


_EXECUTE_PROCEDURE_TASK_SESSION = (
    """
mutation executeProcedureTaskSession($coordinationUuid: String!, $taskUuid: String!,
  $inputFiles: [JSONCamelCase], $sessionUuid: String, $taskQuery: String, $userId: String) {
  executeProcedureTaskSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid,
  inputFiles: $inputFiles, sessionUuid: $sessionUuid, taskQuery: $taskQuery, userId: $userId)
  { procedureTaskSession { ...ProcedureTaskSession } } }
"""
    + ProcedureTaskSession.fragment
)


def execute_procedure_task_session(
    *,
    coordination_uuid: str,
    task_uuid: str,
    input_files: list[Json] | Unset | None = UNSET,
    session_uuid: str | Unset | None = UNSET,
    task_query: str | Unset | None = UNSET,
    user_id: str | Unset | None = UNSET,
) -> Operation[ProcedureTaskSession]:
    """Start a session of a task. A call with a `sessionUuid` can be repeated safely."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "taskUuid": task_uuid,
            "inputFiles": input_files,
            "sessionUuid": session_uuid,
            "taskQuery": task_query,
            "userId": user_id,
        }
    )
    return Operation(
        "executeProcedureTaskSession",
        _EXECUTE_PROCEDURE_TASK_SESSION,
        variables,
        ("executeProcedureTaskSession", "procedureTaskSession"),
        ProcedureTaskSession,
        is_repeatable("executeProcedureTaskSession", variables),
    )


_EXECUTE_FOR_USER_INPUT = """
mutation executeForUserInput($sessionAgentUuid: String!, $sessionUuid: String!, $userInput:
  String!, $idempotencyKey: String, $questionId: String) {
  executeForUserInput(sessionAgentUuid: $sessionAgentUuid, sessionUuid: $sessionUuid,
  userInput: $userInput, idempotencyKey: $idempotencyKey, questionId: $questionId) { ok } }
"""


def execute_for_user_input(
    *,
    session_agent_uuid: str,
    session_uuid: str,
    user_input: str,
    idempotency_key: str | Unset | None = UNSET,
    question_id: str | Unset | None = UNSET,
) -> Operation[bool]:
    """Answer a session agent that waits for a person. Repeating the same answer has no effect."""
    variables = given(
        {
            "sessionAgentUuid": session_agent_uuid,
            "sessionUuid": session_uuid,
            "userInput": user_input,
            "idempotencyKey": idempotency_key,
            "questionId": question_id,
        }
    )
    return Operation(
        "executeForUserInput",
        _EXECUTE_FOR_USER_INPUT,
        variables,
        ("executeForUserInput", "ok"),
        bool,
        is_repeatable("executeForUserInput", variables),
    )


_ASK_OPERATION_HUB = (
    """
mutation askOperationHub($coordinationUuid: String!, $userQuery: String!, $userId: String,
  $agentUuid: String, $sessionUuid: String, $inputFiles: [JSONCamelCase], $receiverEmail:
  String, $threadUuid: String, $stream: Boolean, $threadLifeMinutes: Int, $whenBusy: String) {
  askOperationHub(coordinationUuid: $coordinationUuid, userQuery: $userQuery, userId: $userId,
  agentUuid: $agentUuid, sessionUuid: $sessionUuid, inputFiles: $inputFiles, receiverEmail:
  $receiverEmail, threadUuid: $threadUuid, stream: $stream, threadLifeMinutes:
  $threadLifeMinutes, whenBusy: $whenBusy) { ...AskOperationHub } }
"""
    + AskOperationHub.fragment
)


def ask_operation_hub(
    *,
    coordination_uuid: str,
    user_query: str,
    user_id: str | Unset | None = UNSET,
    agent_uuid: str | Unset | None = UNSET,
    session_uuid: str | Unset | None = UNSET,
    input_files: list[Json] | Unset | None = UNSET,
    receiver_email: str | Unset | None = UNSET,
    thread_uuid: str | Unset | None = UNSET,
    stream: bool | Unset | None = UNSET,
    thread_life_minutes: int | Unset | None = UNSET,
    when_busy: str | Unset | None = UNSET,
) -> Operation[AskOperationHub]:
    """Ask one agent a question, outside a task."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "userQuery": user_query,
            "userId": user_id,
            "agentUuid": agent_uuid,
            "sessionUuid": session_uuid,
            "inputFiles": input_files,
            "receiverEmail": receiver_email,
            "threadUuid": thread_uuid,
            "stream": stream,
            "threadLifeMinutes": thread_life_minutes,
            "whenBusy": when_busy,
        }
    )
    return Operation(
        "askOperationHub",
        _ASK_OPERATION_HUB,
        variables,
        ("askOperationHub",),
        AskOperationHub,
        is_repeatable("askOperationHub", variables),
    )


_CANCEL_SESSION = (
    """
mutation cancelSession($coordinationUuid: String!, $sessionUuid: String!, $idempotencyKey:
  String, $updatedBy: String) { cancelSession(coordinationUuid: $coordinationUuid,
  sessionUuid: $sessionUuid, idempotencyKey: $idempotencyKey, updatedBy: $updatedBy) { session
  { ...Session } } }
"""
    + Session.fragment
)


def cancel_session(
    *,
    coordination_uuid: str,
    session_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Cancel a session. Results of attempts that are still running are ignored."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "sessionUuid": session_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "cancelSession",
        _CANCEL_SESSION,
        variables,
        ("cancelSession", "session"),
        Session,
        is_repeatable("cancelSession", variables),
    )


_PAUSE_SESSION = (
    """
mutation pauseSession($coordinationUuid: String!, $sessionUuid: String!, $idempotencyKey:
  String, $updatedBy: String) { pauseSession(coordinationUuid: $coordinationUuid, sessionUuid:
  $sessionUuid, idempotencyKey: $idempotencyKey, updatedBy: $updatedBy) { session { ...Session
  } } }
"""
    + Session.fragment
)


def pause_session(
    *,
    coordination_uuid: str,
    session_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Pause a session: no further attempt begins, and running attempts continue to their end."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "sessionUuid": session_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "pauseSession",
        _PAUSE_SESSION,
        variables,
        ("pauseSession", "session"),
        Session,
        is_repeatable("pauseSession", variables),
    )


_RESUME_SESSION = (
    """
mutation resumeSession($coordinationUuid: String!, $sessionUuid: String!, $idempotencyKey:
  String, $updatedBy: String) { resumeSession(coordinationUuid: $coordinationUuid,
  sessionUuid: $sessionUuid, idempotencyKey: $idempotencyKey, updatedBy: $updatedBy) { session
  { ...Session } } }
"""
    + Session.fragment
)


def resume_session(
    *,
    coordination_uuid: str,
    session_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Continue a paused session."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "sessionUuid": session_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "resumeSession",
        _RESUME_SESSION,
        variables,
        ("resumeSession", "session"),
        Session,
        is_repeatable("resumeSession", variables),
    )


_RETRY_SESSION = (
    """
mutation retrySession($coordinationUuid: String!, $sessionUuid: String!, $idempotencyKey:
  String, $updatedBy: String) { retrySession(coordinationUuid: $coordinationUuid, sessionUuid:
  $sessionUuid, idempotencyKey: $idempotencyKey, updatedBy: $updatedBy) { session { ...Session
  } } }
"""
    + Session.fragment
)


def retry_session(
    *,
    coordination_uuid: str,
    session_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Run again the agents that failed, were skipped or cancelled. Completed agents are kept."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "sessionUuid": session_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "retrySession",
        _RETRY_SESSION,
        variables,
        ("retrySession", "session"),
        Session,
        is_repeatable("retrySession", variables),
    )


_RECONCILE_SESSION = (
    """
mutation reconcileSession($coordinationUuid: String!, $sessionUuid: String!,
  $idempotencyKey: String, $updatedBy: String) { reconcileSession(coordinationUuid:
  $coordinationUuid, sessionUuid: $sessionUuid, idempotencyKey: $idempotencyKey, updatedBy:
  $updatedBy) { session { ...Session } } }
"""
    + Session.fragment
)


def reconcile_session(
    *,
    coordination_uuid: str,
    session_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Repair a session: compute from its stored state what must still happen, and do it. Safe at any time."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "sessionUuid": session_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "reconcileSession",
        _RECONCILE_SESSION,
        variables,
        ("reconcileSession", "session"),
        Session,
        is_repeatable("reconcileSession", variables),
    )


_RERUN_SESSION_AGENT = (
    """
mutation rerunSessionAgent($sessionAgentUuid: String!, $sessionUuid: String!,
  $idempotencyKey: String, $updatedBy: String) { rerunSessionAgent(sessionAgentUuid:
  $sessionAgentUuid, sessionUuid: $sessionUuid, idempotencyKey: $idempotencyKey, updatedBy:
  $updatedBy) { session { ...Session } } }
"""
    + Session.fragment
)


def rerun_session_agent(
    *,
    session_agent_uuid: str,
    session_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Run one agent and all agents that depend on it again."""
    variables = given(
        {
            "sessionAgentUuid": session_agent_uuid,
            "sessionUuid": session_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "rerunSessionAgent",
        _RERUN_SESSION_AGENT,
        variables,
        ("rerunSessionAgent", "session"),
        Session,
        is_repeatable("rerunSessionAgent", variables),
    )


_FORK_SESSION = (
    """
mutation forkSession($coordinationUuid: String!, $sessionUuid: String!,
  $fromSessionAgentUuid: String, $idempotencyKey: String, $inputFiles: [JSONCamelCase],
  $newSessionUuid: String, $subtaskQuery: String, $taskQuery: String, $updatedBy: String,
  $userId: String) { forkSession(coordinationUuid: $coordinationUuid, sessionUuid:
  $sessionUuid, fromSessionAgentUuid: $fromSessionAgentUuid, idempotencyKey: $idempotencyKey,
  inputFiles: $inputFiles, newSessionUuid: $newSessionUuid, subtaskQuery: $subtaskQuery,
  taskQuery: $taskQuery, updatedBy: $updatedBy, userId: $userId) { session { ...Session } } }
"""
    + Session.fragment
)


def fork_session(
    *,
    coordination_uuid: str,
    session_uuid: str,
    from_session_agent_uuid: str | Unset | None = UNSET,
    idempotency_key: str | Unset | None = UNSET,
    input_files: list[Json] | Unset | None = UNSET,
    new_session_uuid: str | Unset | None = UNSET,
    subtask_query: str | Unset | None = UNSET,
    task_query: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
    user_id: str | Unset | None = UNSET,
) -> Operation[Session]:
    """Start a copy of a session that runs from a given agent on, with changed input."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "sessionUuid": session_uuid,
            "fromSessionAgentUuid": from_session_agent_uuid,
            "idempotencyKey": idempotency_key,
            "inputFiles": input_files,
            "newSessionUuid": new_session_uuid,
            "subtaskQuery": subtask_query,
            "taskQuery": task_query,
            "updatedBy": updated_by,
            "userId": user_id,
        }
    )
    return Operation(
        "forkSession",
        _FORK_SESSION,
        variables,
        ("forkSession", "session"),
        Session,
        is_repeatable("forkSession", variables),
    )


_COMPLETE_ASYNC_TASK = (
    """
mutation completeAsyncTask($asyncTaskUuid: String!, $error: String, $result: String, $usage:
  JSONCamelCase) { completeAsyncTask(asyncTaskUuid: $asyncTaskUuid, error: $error, result:
  $result, usage: $usage) { ok sessionAgent { ...SessionAgent } } }
"""
    + SessionAgent.fragment
)


def complete_async_task(
    *,
    async_task_uuid: str,
    error: str | Unset | None = UNSET,
    result: str | Unset | None = UNSET,
    usage: Json | Unset | None = UNSET,
) -> Operation[CompleteAsyncTask]:
    """Report the result or the error of a long job; the agent that waits for it continues. Repeating the call has no effect."""
    variables = given(
        {"asyncTaskUuid": async_task_uuid, "error": error, "result": result, "usage": usage}
    )
    return Operation(
        "completeAsyncTask",
        _COMPLETE_ASYNC_TASK,
        variables,
        ("completeAsyncTask",),
        CompleteAsyncTask,
        is_repeatable("completeAsyncTask", variables),
    )


_RUN_TASK_SCHEDULE = (
    """
mutation runTaskSchedule($scheduleUuid: String!, $taskUuid: String!, $idempotencyKey:
  String, $updatedBy: String) { runTaskSchedule(scheduleUuid: $scheduleUuid, taskUuid:
  $taskUuid, idempotencyKey: $idempotencyKey, updatedBy: $updatedBy) { taskSchedule {
  ...TaskSchedule } sessions { ...Session } } }
"""
    + TaskSchedule.fragment
    + Session.fragment
)


def run_task_schedule(
    *,
    schedule_uuid: str,
    task_uuid: str,
    idempotency_key: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[RunTaskSchedule]:
    """Start a session of a schedule now, regardless of its status and its overlap policy."""
    variables = given(
        {
            "scheduleUuid": schedule_uuid,
            "taskUuid": task_uuid,
            "idempotencyKey": idempotency_key,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "runTaskSchedule",
        _RUN_TASK_SCHEDULE,
        variables,
        ("runTaskSchedule",),
        RunTaskSchedule,
        is_repeatable("runTaskSchedule", variables),
    )


_BACKFILL_TASK_SCHEDULE = (
    """
mutation backfillTaskSchedule($from: DateTime!, $scheduleUuid: String!, $taskUuid: String!,
  $to: DateTime!, $idempotencyKey: String, $overlapPolicy: String, $updatedBy: String) {
  backfillTaskSchedule(from: $from, scheduleUuid: $scheduleUuid, taskUuid: $taskUuid, to: $to,
  idempotencyKey: $idempotencyKey, overlapPolicy: $overlapPolicy, updatedBy: $updatedBy) {
  taskSchedule { ...TaskSchedule } sessions { ...Session } } }
"""
    + TaskSchedule.fragment
    + Session.fragment
)


def backfill_task_schedule(
    *,
    from_: datetime,
    schedule_uuid: str,
    task_uuid: str,
    to: datetime,
    idempotency_key: str | Unset | None = UNSET,
    overlap_policy: str | Unset | None = UNSET,
    updated_by: str | Unset | None = UNSET,
) -> Operation[BackfillTaskSchedule]:
    """Start a session for each time of a schedule in a past range that has none, for at most 1,000 times."""
    variables = given(
        {
            "from": from_,
            "scheduleUuid": schedule_uuid,
            "taskUuid": task_uuid,
            "to": to,
            "idempotencyKey": idempotency_key,
            "overlapPolicy": overlap_policy,
            "updatedBy": updated_by,
        }
    )
    return Operation(
        "backfillTaskSchedule",
        _BACKFILL_TASK_SCHEDULE,
        variables,
        ("backfillTaskSchedule",),
        BackfillTaskSchedule,
        is_repeatable("backfillTaskSchedule", variables),
    )


_HEARTBEAT_ASYNC_TASK = """
mutation heartbeatAsyncTask($asyncTaskUuid: String!) { heartbeatAsyncTask(asyncTaskUuid:
  $asyncTaskUuid) { ok } }
"""


def heartbeat_async_task(*, async_task_uuid: str) -> Operation[bool]:
    """Report that a long job is still running; this extends its deadline."""
    variables = given({"asyncTaskUuid": async_task_uuid})
    return Operation(
        "heartbeatAsyncTask",
        _HEARTBEAT_ASYNC_TASK,
        variables,
        ("heartbeatAsyncTask", "ok"),
        bool,
        is_repeatable("heartbeatAsyncTask", variables),
    )


_SUBSCRIBE_SESSION_LIST = (
    """
subscription sessionList($coordinationUuid: String, $taskUuid: String, $userId: String,
  $statuses: [String], $sessionUuidPrefix: String, $waitsForPerson: Boolean, $pageNumber: Int,
  $limit: Int, $cursor: String) { sessionList(coordinationUuid: $coordinationUuid, taskUuid:
  $taskUuid, userId: $userId, statuses: $statuses, sessionUuidPrefix: $sessionUuidPrefix,
  waitsForPerson: $waitsForPerson, pageNumber: $pageNumber, limit: $limit, cursor: $cursor) {
  records: sessionList { ...Session } nextCursor } }
"""
    + Session.fragment
)


def subscribe_session_list(
    *,
    coordination_uuid: str | Unset | None = UNSET,
    task_uuid: str | Unset | None = UNSET,
    user_id: str | Unset | None = UNSET,
    statuses: list[str] | Unset | None = UNSET,
    session_uuid_prefix: str | Unset | None = UNSET,
    waits_for_person: bool | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[Session]]:
    """A page of sessions as it is now, and whenever it has changed."""
    variables = given(
        {
            "coordinationUuid": coordination_uuid,
            "taskUuid": task_uuid,
            "userId": user_id,
            "statuses": statuses,
            "sessionUuidPrefix": session_uuid_prefix,
            "waitsForPerson": waits_for_person,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "sessionList", _SUBSCRIBE_SESSION_LIST, variables, ("sessionList",), Page[Session], True
    )


_SUBSCRIBE_USER_INBOX = (
    """
subscription userInbox($userInTheLoop: String, $coordinationUuid: String,
  $sessionUuidPrefix: String, $sessionAgentUuidPrefix: String, $pageNumber: Int, $limit: Int,
  $cursor: String) { userInbox(userInTheLoop: $userInTheLoop, coordinationUuid:
  $coordinationUuid, sessionUuidPrefix: $sessionUuidPrefix, sessionAgentUuidPrefix:
  $sessionAgentUuidPrefix, pageNumber: $pageNumber, limit: $limit, cursor: $cursor) { records:
  sessionAgentList { ...SessionAgent } nextCursor } }
"""
    + SessionAgent.fragment
)


def subscribe_user_inbox(
    *,
    user_in_the_loop: str | Unset | None = UNSET,
    coordination_uuid: str | Unset | None = UNSET,
    session_uuid_prefix: str | Unset | None = UNSET,
    session_agent_uuid_prefix: str | Unset | None = UNSET,
    page_number: int | Unset | None = UNSET,
    limit: int | Unset | None = UNSET,
    cursor: str | Unset | None = UNSET,
) -> Operation[Page[SessionAgent]]:
    """The session agents that wait for a person as they are now, and whenever that has changed."""
    variables = given(
        {
            "userInTheLoop": user_in_the_loop,
            "coordinationUuid": coordination_uuid,
            "sessionUuidPrefix": session_uuid_prefix,
            "sessionAgentUuidPrefix": session_agent_uuid_prefix,
            "pageNumber": page_number,
            "limit": limit,
            "cursor": cursor,
        }
    )
    return Operation(
        "userInbox", _SUBSCRIBE_USER_INBOX, variables, ("userInbox",), Page[SessionAgent], True
    )


_SUBSCRIBE_SESSION = (
    """
subscription session($coordinationUuid: String!, $sessionUuid: String!) {
  session(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) { ...Session } }
"""
    + Session.fragment
)


def subscribe_session(*, coordination_uuid: str, session_uuid: str) -> Operation[Session | None]:
    """The session as it is now, and whenever it has changed; null while it does not exist. The stream ends when the session and its agents have ended."""
    variables = given({"coordinationUuid": coordination_uuid, "sessionUuid": session_uuid})
    return Operation("session", _SUBSCRIBE_SESSION, variables, ("session",), Session | None, True)


_SUBSCRIBE_AGENT_OUTPUT = (
    """
subscription agentOutput($sessionUuid: String!, $sessionAgentUuid: String!) {
  agentOutput(sessionUuid: $sessionUuid, sessionAgentUuid: $sessionAgentUuid) { ...AgentOutput
  } }
"""
    + AgentOutput.fragment
)


def subscribe_agent_output(
    *, session_uuid: str, session_agent_uuid: str
) -> Operation[AgentOutput | None]:
    """The text of an agent while it is written, as far as this server sees it; `agentOutput` of the session agent is the whole text. The stream ends with the agent."""
    variables = given({"sessionUuid": session_uuid, "sessionAgentUuid": session_agent_uuid})
    return Operation(
        "agentOutput",
        _SUBSCRIBE_AGENT_OUTPUT,
        variables,
        ("agentOutput",),
        AgentOutput | None,
        True,
    )
