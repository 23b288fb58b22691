"""Explain why a session agent is not running: a code for programs, a message for people. Pure.

The API field `whyNotRunning` is the caller. It reads the records under the keys that `neighbours`
and `counter_shard_keys` return, and passes them to `explain`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Any, assert_never

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.lifecycle.phases import Phase, standing_phase
from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES, TERMINAL_SESSION_STATUSES
from ai_coordination_engine.engine.control.skips import predecessor_ordinals, why_skipped
from ai_coordination_engine.engine.control.words import because, listed
from ai_coordination_engine.engine.graph.inputs import counter_shard_family
from ai_coordination_engine.engine.graph.keys import (
    agent_key,
    counter_shard_number,
    ordinal_of,
)
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.transitions.attempts import ERROR, REFUSED
from ai_coordination_engine.store.transitions.counter_shards import is_wide, join_key

NAMED = 10
"""The number of agents that the answer lists; the others are counted."""
_PAUSED = "The session is paused until it is resumed."


@dataclass(frozen=True, slots=True)
class Why:
    """The reason.

    `until`: the latest time at which the state changes by itself, if known. `waits_for`: the first
    agents that must end before.
    """

    code: str
    message: str
    until: datetime | None = None
    waits_for: Sequence[SessionAgent] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """What `explain` needs beside the agent.

    `others`: some of the agents that it waits for; `unfinished`: the number of all of them. `now`:
    epoch seconds. `job`: the state of its long job (`async_tasks.states`).
    """

    session: Session | None
    others: Sequence[SessionAgent]
    unfinished: int
    now: float
    job: Mapping[str, Any] = field(default_factory=dict)


def counter_shard_keys(agent: SessionAgent) -> list[Key]:
    """The keys of the counter shards to read for a wide join: they list its unfinished edges."""
    if not is_wide(agent) or agent.state not in ("initial", "pending"):
        return []
    key = agent.key
    return [
        join_key(key, counter_shard_family(agent), counter_shard_number(number))
        for number in sorted(agent.unfinished or ())[:1]
    ]


def neighbours(agent: SessionAgent, counter_shards: Sequence[CounterShard]) -> list[Key]:
    """The keys of the agents to read: the first that this one waits for, or that made it skip."""
    if agent.ordinal is None:
        return []
    before = _before(agent, counter_shards)
    return [agent_key(agent, ordinal_of(int(each))) for each in before[:NAMED]]


def _before(agent: SessionAgent, counter_shards: Sequence[CounterShard]) -> Sequence[float]:
    """The ids of the unfinished edges to the agent; for a skipped one, all its predecessors."""
    if agent.state == "skipped":
        return predecessor_ordinals(agent)
    if agent.state not in ("initial", "pending"):
        return []
    waiting: Sequence[SessionAgent | CounterShard] = counter_shards if is_wide(agent) else [agent]
    return [edge for each in waiting for edge in sorted(each.unfinished or ())]


def explain(agent: SessionAgent, scene: Scene) -> Why:
    """Explain why the agent is not running, or that it is running, or how it has ended."""
    restarting = _restarting(scene.session)
    if agent.state in TERMINAL_AGENT_STATES:
        return _until_set_back(agent, _ended(agent, scene), restarting)
    if agent.ordinal is None:
        return Why(
            "NOT_PLANNED",
            "A client wrote this agent; the engine does not run it and clients move its state.",
        )
    is_acting = agent.acting and agent.lease_until is not None
    if agent.state == "executing" or is_acting:
        return _running(agent, scene)
    if (ended := _session_ended(scene.session)) is not None:
        return ended
    if restarting is not None:
        return restarting
    why = _standing(agent, scene)
    return _while_paused(why) if _is_paused(agent, scene.session) else why


def _until_set_back(agent: SessionAgent, why: Why, restarting: Why | None) -> Why:
    """How the agent ended. While its session is being reset, also that it may run again."""
    if restarting is None or agent.ordinal is None:
        return why
    message = f"{restarting.message} Until then: {why.message}"
    return replace(restarting, message=message, details={**why.details, "until_then": why.code})


def _while_paused(why: Why) -> Why:
    """The reason in a paused session: it must be resumed; then `why` applies."""
    message = f"{_PAUSED} Then: {why.message.removesuffix(f' {_PAUSED}')}"
    return replace(why, code="PAUSED", message=message, details={**why.details, "then": why.code})


def _session_ended(session: Session | None) -> Why | None:
    """The reason for each open agent, if the session has ended or was deleted; else None."""
    status = "gone" if session is None else session.status
    if session is not None and status not in TERMINAL_SESSION_STATUSES:
        return None
    return Why("SESSION_ENDED", f"The session is {status}; nothing is begun in it any more.")


def _restarting(session: Session | None) -> Why | None:
    """The reason for each agent, if the session is being reset; else None."""
    if session is None or session.stored("restart") is None or session.status != "in_transit":
        return None
    until = _time(session.watch_at)
    ends = (
        f"the sweep finishes that at {until.isoformat()}, reconcileSession does so now"
        if until
        else ""
    )
    message = (
        f"The session is being reset to run again; {ends or 'reconcileSession finishes that now'}."
    )
    return Why("RESTARTING", message, until)


def _is_paused(agent: SessionAgent, session: Session | None) -> bool:
    return agent.paused is not None or (session is not None and session.status == "paused")


def _ended(agent: SessionAgent, scene: Scene) -> Why:
    if agent.state == "completed":
        return Why("COMPLETED", "It has run and completed.")
    if agent.state == "failed":
        return Why("FAILED", f"It has failed{because(agent)}.")
    if agent.state == "cancelled":
        return Why("CANCELLED", f"It was cancelled{because(agent)}.")
    details = {"upstream_failed": bool(agent.upstream_failed)}
    return Why("SKIPPED", why_skipped(agent, scene.others, scene.session), details=details)


def _running(agent: SessionAgent, scene: Scene) -> Why:
    what = "The action function on its answer" if agent.acting else f"Attempt {agent.attempt}"
    details = {"attempt": agent.attempt}
    if agent.lease_until is None:
        return Why(
            "EXECUTING",
            "A client says that it is executing; the engine holds no lease.",
            details=details,
        )
    until = _time(agent.lease_until)
    if agent.lease_until < scene.now:
        if agent.lease_until in (REFUSED, ERROR):
            return _lease_expired(agent, scene)
        again = _watched(agent, scene.session)
        why = (
            "its worker met an error"
            if agent.lease_until <= 0
            else f"its lease ran out at {until.isoformat()}"
        )
        message = f"{what} was lost: {why}. {again[0]}"
        return Why("LEASE_EXPIRED", message, until=again[1], details=details)
    if agent.acting:
        return Why(
            "ACTING",
            f"{what} runs, until {until.isoformat()} at the latest.",
            until,
            details=details,
        )
    return Why(
        "EXECUTING",
        f"It is running: {what.lower()} has until {until.isoformat()}.",
        until,
        details=details,
    )


def _lease_expired(agent: SessionAgent, scene: Scene) -> Why:
    """The reason if a worker has expired its own lease: a backend refused a request, or an error
    occurred.
    """
    what = "the action function on its answer" if agent.acting else f"attempt {agent.attempt}"
    if agent.lease_until == ERROR:
        message = (
            f"An unexpected error, which the log has, ended {what}; it is tried again, five times"
            " in all."
        )
        message += f" {_watched(agent, scene.session)[0]}"
        return Why("INTERNAL_ERROR", message, details={"attempt": agent.attempt})
    message = (
        f"The backend refused {what} for now, or did not answer; it is tried again until that has"
        " passed."
    )
    message += f" {_watched(agent, scene.session)[0]}"
    return Why("WAITS_FOR_BACKEND", message, details={"attempt": agent.attempt})


def _standing(agent: SessionAgent, scene: Scene) -> Why:
    if agent.lease_until in (REFUSED, ERROR):
        return _lease_expired(agent, scene)
    match standing_phase(agent, scene.now):
        case Phase.WAITING_FOR_PERSON:
            return _waits_for_user(agent)
        case Phase.WAITING_FOR_JOB:
            return _waits_for_job(agent, scene)
        case Phase.WAITING_FOR_PREDECESSORS | Phase.WAITING_FOR_ELEMENTS | Phase.MAP_EXPANDING:
            return _waits_for_others(agent, scene)
        case Phase.BACKOFF:
            return _backs_off(agent)
        case Phase.WAITING_FOR_BUDGET:
            return _waits_for_budget(agent)
        case Phase.READY | Phase.ASKING | Phase.ACTION_DUE | Phase.UNSATISFIED:
            again = _watched(agent, scene.session)
            return Why(
                "WAITS_FOR_WORKER", f"It is ready: its message waits for a worker. {again[0]}"
            )
        case never:
            assert_never(never)


def _backs_off(agent: SessionAgent) -> Why:
    until = _time(agent.not_before)
    if agent.refusals:
        message = (
            f"The settings of the workers do not allow it any more{because(agent)}; it is looked at"
            f" again at {until.isoformat()}."
        )
        return Why("WAITS_FOR_SETTINGS", message, until, details={"attempt": agent.attempt})
    what = "The action function" if agent.acting else f"Attempt {agent.attempt or 0}"
    then = "it is tried again" if agent.acting else "the next begins"
    message = f"{what} failed{because(agent)}; {then} at {until.isoformat()}."
    return Why(
        "BACKOFF", message, until, details={"failures": agent.failures, "attempt": agent.attempt}
    )


def _waits_for_budget(agent: SessionAgent) -> Why:
    details = dict(agent.over_budget)
    message, begins = details.pop("message"), details.pop("until", None)
    until = datetime.fromisoformat(begins) if begins else None
    if not details.get("unpriced"):
        message += " The agent goes on when there is room, or the limit is raised."
        message += f" It begins anew at {until.isoformat()}." if until else ""
    return Why("WAITS_FOR_BUDGET", message, until, details=details)


def _waits_for_job(agent: SessionAgent, scene: Scene) -> Why:
    details = {"async_task_uuid": agent.async_task_uuid}
    status = scene.job.get("status", "pending")
    if status != "pending":
        again = _watched(agent, scene.session)[0]
        message = (
            f"The long job {agent.async_task_uuid} is {status}; a message that says so waits for a"
            f" worker. {again}"
        )
        return Why("WAITS_FOR_WORKER", message, details=details)
    deadline = scene.job.get("heartbeat_until")
    until = datetime.fromisoformat(deadline) if deadline else _time(agent.due_at)
    message = f"It waits for the long job {agent.async_task_uuid}; completeAsyncTask ends it."
    if until:
        message += f" Without a heartbeat until {until.isoformat()}, the attempt fails."
    return Why("WAITS_FOR_ASYNC_TASK", message, until, details=details)


def _waits_for_user(agent: SessionAgent) -> Why:
    stored = agent.stored("agent_action")
    action = stored if isinstance(stored, dict) else {}
    person = agent.awaits_user or action.get("user_in_the_loop") or "a person"
    asks = agent.stored("asks") is not None
    message = (
        f"It waits for the answer of {person}{' to its question' if asks else ''}, in the inbox."
    )
    until = _time(agent.due_at)
    if until:
        then = (
            "the default answer is taken"
            if action.get("default_answer") is not None and agent.stored("asks") is None
            else "it has failed"
        )
        message += f" Without one at {until.isoformat()} {then}."
    # the agent's uuid follows, which makes it unique
    since = (agent.waits_since or "").partition("#")[0] or None
    return Why("WAITS_FOR_USER", message, until, details={"user": person, "since": since})


def _waits_for_others(agent: SessionAgent, scene: Scene) -> Why:
    if agent.sink_count == 0:
        message = "It waits until the question before it on its thread is answered."
        return Why("WAITS_FOR_PREDECESSORS", message, waits_for=scene.others)
    open_now = [each for each in scene.others if each.state not in TERMINAL_AGENT_STATES]
    more = scene.unfinished - len(scene.others)
    words = listed(scene.others) + (f", and {more} more" if more > 0 else "")
    details: dict[str, Any] = {"unfinished": scene.unfinished}
    if agent.mapped is not None:
        message = f"It waits for {scene.unfinished} of its {agent.mapped} elements: {words}."
        return Why(
            "WAITS_FOR_ELEMENTS", message, None, open_now, {**details, "elements": agent.mapped}
        )
    if agent.still_needed is not None:
        details["missing"] = agent.still_needed
        message = f"It needs {agent.still_needed} more of {_predecessors(scene)}: {words}."
    else:
        message = f"It waits for {_predecessors(scene)}: {words}."
    if len(open_now) < len(scene.others):
        message += (
            f" Those that have ended hand off in a moment. {_watched(agent, scene.session)[0]}"
        )
    return Why("WAITS_FOR_PREDECESSORS", message, None, open_now or scene.others, details)


def _predecessors(scene: Scene) -> str:
    return (
        "1 unfinished predecessor"
        if scene.unfinished == 1
        else f"{scene.unfinished} unfinished predecessors"
    )


def _watched(agent: SessionAgent, session: Session | None) -> tuple[str, datetime | None]:
    """What happens if the agent's message was lost, in words, and when: the sweep sends it again,
    unless the session is paused.
    """
    if _is_paused(agent, session):
        return _PAUSED, None
    until = _time(session.watch_at) if session is not None else None
    if until is None:
        return "reconcileSession sends lost messages again.", None
    return f"The sweep looks after it at {until.isoformat()}; reconcileSession does so now.", until


def _time(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
