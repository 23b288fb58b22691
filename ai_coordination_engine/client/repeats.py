"""Which mutations may be sent again without a further effect."""

from collections.abc import Mapping

_ALWAYS = frozenset(
    {
        "backfillTaskSchedule",
        "completeAsyncTask",
        "executeForUserInput",
        "heartbeatAsyncTask",
        "insertUpdateSessionRun",
        "reconcileSession",
    }
)
_OWN_UUID = {
    "executeProcedureTaskSession": "sessionUuid",
    "forkSession": "newSessionUuid",
    "insertUpdateCoordination": "coordinationUuid",
    "insertUpdateSession": "sessionUuid",
    "insertUpdateSessionAgent": "sessionAgentUuid",
    "insertUpdateTask": "taskUuid",
    "insertUpdateTaskSchedule": "scheduleUuid",
}


def is_repeatable(mutation: str, variables: Mapping[str, object]) -> bool:
    """Whether the mutation, with these variables, has no further effect when it is repeated.

    So are those that always find what they have done, those with an idempotency key, and those that
    create a record under a uuid that the client has made.
    """
    keys = ("idempotencyKey", _OWN_UUID.get(mutation, "idempotencyKey"))
    return mutation in _ALWAYS or any(variables.get(key) for key in keys)
