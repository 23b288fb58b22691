"""Long jobs, which run outside the engine: one internal item each, found by the uuid that the job
was given.

The items lie among the session runs under keys of their own. DynamoDB removes them some time after
their end (`expires_at`, "Using time to live (TTL) in DynamoDB").
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.attributes import (
    BooleanAttribute,
    IntegerAttribute,
    NumberAttribute,
    UnicodeAttribute,
)
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.parent_keys import ParentKey, internal
from ai_coordination_engine.store.payload import Payload
from ai_coordination_engine.store.record import Record
from ai_coordination_engine.store.records.entities import SESSION_RUN
from ai_coordination_engine.store.records.reads import visible
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.table import Refused
from ai_coordination_engine.store.transitions.outcome import (
    Applied,
    Outcome,
    Rejected,
    or_repeated,
)

LONGEST_LOOK_SECONDS = 900.0  # between two looks
# after the end, so that a late or repeated answer learns the outcome
KEPT_SECONDS = 90 * 86_400


class Job(Record):
    """One long job: pending, then completed, failed, asked when it asks a person, or expired when
    it sent no heartbeat in time.

    Output and error have the names that they have on the session agent; large ones are blobs of the
    agent.
    """

    record_name = "async task"
    session_uuid = ParentKey(hash_key=True)
    run_uuid = UnicodeAttribute(range_key=True)
    async_task_uuid = UnicodeAttribute(null=True)
    status = UnicodeAttribute(null=True)
    agent_session_uuid = UnicodeAttribute(null=True)
    session_agent_uuid = UnicodeAttribute(null=True)
    attempt_uuid = UnicodeAttribute(null=True)  # the run of the latest attempt that waits for it
    heartbeat_seconds = NumberAttribute(null=True)
    deadline = NumberAttribute(null=True)  # epoch seconds
    # when the engine looks at it next (epoch seconds), and the interval until the look after that;
    # absent: it never looks
    look_at = NumberAttribute(null=True)
    look_seconds = NumberAttribute(null=True)
    ended_at = UnicodeAttribute(null=True)
    agent_output = Payload(null=True)
    notes = Payload(null=True)
    usage = Payload(null=True)
    question = Payload(null=True)  # what it asks a person; it goes on with the answer
    # of a failed job that the engine has looked at
    error_class = UnicodeAttribute(null=True)
    final = BooleanAttribute(null=True)  # it is not tried again
    cost_micro_usd = IntegerAttribute(null=True)
    price_version = UnicodeAttribute(null=True)
    # of how it ended: it distinguishes a repetition from another answer
    digest = UnicodeAttribute(null=True)
    expires_at = IntegerAttribute(null=True)  # epoch seconds

    @property
    def why(self) -> str | None:
        """The error class of a job that did not complete."""
        return "timeout" if self.status == "expired" else self.error_class or "error"

    @property
    def due_at(self) -> float:
        """When its agent wakes next (epoch seconds): to look at it, or at its deadline."""
        deadline = float(self.deadline)
        return deadline if self.look_at is None else min(float(self.look_at), deadline)


class Jobs:
    """The long jobs of one store, and their transitions. Thread-safe."""

    def __init__(self, repository: Repository) -> None:
        self._records = repository
        self._table = repository.table(SESSION_RUN).holding(Job)

    def get(self, tenant: str, async_task_uuid: str) -> Job | None:
        """The job as it is now, or None when this tenant has none of that uuid."""
        found = self._table.get(tenant, _key(async_task_uuid), consistent=True)
        return visible(found, tenant)

    def get_many(
        self, tenant: str, async_task_uuids: Sequence[str], *, consistent: bool = False
    ) -> dict[str, Job]:
        """The jobs that exist among these, by uuid. One BatchGetItem per 100."""
        found = self._table.get_many(
            tenant, [_key(each) for each in async_task_uuids], consistent=consistent
        )
        return {job.async_task_uuid: job for job in found.values() if visible(job, tenant)}

    def open(
        self,
        agent: SessionAgent,
        async_task_uuid: str,
        heartbeat_seconds: float,
        look_seconds: float | None = None,
    ) -> Outcome[Job]:
        """Record that the agent's attempt waits for the job. Rejected when the job belongs to
        another agent.

        A job may outlive the attempt that began it: then the agent's next attempt waits for it.
        Repeating the write after its answer was lost does not undo later heartbeats.
        """
        now = self._now()
        deadline = now + heartbeat_seconds
        of_agent = {
            "agent_session_uuid": agent.session_uuid,
            "session_agent_uuid": agent.session_agent_uuid,
        }
        job = Job(
            *_key(async_task_uuid),
            partition_key=agent.partition_key,
            async_task_uuid=async_task_uuid,
            status="pending",
            **of_agent,
            attempt_uuid=agent.run_uuid,
            heartbeat_seconds=heartbeat_seconds,
            deadline=deadline,
            look_at=None if look_seconds is None else now + look_seconds,
            look_seconds=look_seconds,
            expires_at=_kept_until(deadline),
        )
        mine = (Job.agent_session_uuid == agent.session_uuid) & (
            Job.session_agent_uuid == agent.session_agent_uuid
        )
        is_open = Job.status.is_in("pending", "expired", "asked")
        is_later = (Job.deadline <= deadline) | (Job.heartbeat_seconds != heartbeat_seconds)
        try:
            self._table.put(job, Job.session_uuid.does_not_exist() | (mine & is_open & is_later))
        except Refused as refused:
            # one's own has ended already, or was heard of
            known = or_repeated(Rejected(refused.old), **of_agent)
            if isinstance(known, Rejected) or known.record.attempt_uuid == agent.run_uuid:
                return known
            return self._write(known.record, [Job.attempt_uuid.set(agent.run_uuid)], mine)
        return Applied(job)

    def end(self, job: Job, status: str, values: Mapping[str, Any], digest: str) -> Outcome[Job]:
        """Record how the job ended; this one write decides. Rejected when the job is no longer
        pending.

        `values` are stored as those of the session agent.
        """
        attributes = Job.get_attributes()
        given = [attributes[name].set(value) for name, value in values.items() if value is not None]
        return self._end(job, status, [*given, Job.digest.set(digest)], Job.status == "pending")

    def expire(self, job: Job) -> Outcome[Job]:
        """Expire a job whose deadline has passed."""
        is_due = (Job.status == "pending") & (Job.deadline <= self._now())
        return self._end(job, "expired", [], is_due)

    def heartbeat(self, job: Job) -> Outcome[Job]:
        """Move the deadline of a job that has sent a heartbeat. Rejected when the job has ended, or
        the heartbeat came too late.
        """
        now = self._now()
        deadline = now + job.heartbeat_seconds
        actions = [Job.deadline.set(deadline), Job.expires_at.set(_kept_until(deadline))]
        return self._write(job, actions, (Job.status == "pending") & (Job.deadline > now))

    def begin_look(self, job: Job) -> Outcome[Job]:
        """Take the look that is due: the next one is due after the job's interval, which doubles.
        Rejected when another worker was faster, or the job has ended.
        """
        interval = min(job.look_seconds, LONGEST_LOOK_SECONDS)
        actions = [
            Job.look_at.set(self._now() + interval),
            Job.look_seconds.set(min(2 * interval, LONGEST_LOOK_SECONDS)),
        ]
        return self._write(job, actions, (Job.status == "pending") & (Job.look_at == job.look_at))

    def look_soon(self, job: Job) -> Outcome[Job]:
        """Let the next look be due now. Rejected when the job has ended, or is never looked at."""
        now = Job.look_at.set(self._now())
        return self._write(job, [now], (Job.status == "pending") & Job.look_at.exists())

    def _end(
        self, job: Job, status: str, actions: Sequence[Action], condition: Any
    ) -> Outcome[Job]:
        ended = [
            Job.status.set(status),
            Job.ended_at.set(self._records.clock.now().isoformat()),
            Job.expires_at.set(_kept_until(self._now())),
        ]
        return self._write(job, [*actions, *ended], condition)

    def _write(self, job: Job, actions: Sequence[Action], condition: Any) -> Outcome[Job]:
        try:
            return Applied(self._table.update(job.partition_key, job.key, actions, condition))
        except Refused as refused:
            return Rejected(refused.old)

    def _now(self) -> float:
        return self._records.clock.now().timestamp()


def _key(async_task_uuid: str) -> Key:
    return internal("task", async_task_uuid), "task"


def _kept_until(end: float) -> int:
    return int(end) + KEPT_SECONDS
