"""`make mutants`: break the engine in known ways; the tests of the promise must notice each.

Each mutant is a copy of the tree with one text replaced. A text that is not found is an error. A
mutant whose tests pass has survived: a promise is claimed but not tested.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

ROOT = Path(__file__).parents[2]
PACKAGE = "ai_coordination_engine"
SECONDS = 200  # for the tests of one mutant; a timeout counts as noticed


@dataclass(frozen=True)
class Mutant:
    """A fault: its place (a file below the package, or a folder), and the tests that must fail."""

    name: str
    where: str
    old: str
    new: str
    tests: Sequence[str]


BRANCHES = ("engine/attempt/test_branches.py",)
CRASHES = ("promises/test_crash_points.py",)
BATCHES = ("store/tables/test_batches.py",)
TRANSITIONS = ("store/transitions/test_transitions.py",)
GUARDS = ("store/records/test_guards.py", "store/records/test_guards_crashes.py")
OBSERVED = ("engine/test_observed.py",)
QUESTIONS = ("promises/test_questions.py",)
STAND_INS = ("promises/test_stand_ins.py",)
LOG = ("database/test_log.py",)
TEXTS = ("store/tables/test_texts.py",)
MUTANTS = (
    Mutant(
        "a thread goes on with its step though another one has done so in its place",
        "adapters/runtimes/deadline.py",
        "        if not _watchdog.end(watched):\n            raise Replaced\n",
        "        _watchdog.end(watched)\n",
        STAND_INS,
    ),
    Mutant(
        "nobody goes on in place of a thread whose agent takes too long",
        "adapters/runtimes/deadline.py",
        "threading.Thread(target=watched.go_on, ",
        "threading.Thread(target=int, ",
        STAND_INS,
    ),
    Mutant(
        "a successor counts as overdue because the agent before it was",
        "engine/step.py",
        "        with calling():\n            result = _result",
        "        if True:\n            result = _result",
        STAND_INS,
    ),
    Mutant(
        "a sync that failed is tried again, as if nothing had been lost",
        "database/log.py",
        "            self._close()\n            raise NotSynced(self._failure) from error\n",
        "            raise NotSynced(self._failure) from error\n",
        LOG,
    ),
    Mutant(
        "an item is written as this process knows it, whatever others wrote",
        "store/tables/sqlite_layout.py",
        'return f"{self.replace_item} AND item = ?"',
        'return f"{self.replace_item} AND ? != 0"',
        TEXTS,
    ),
    Mutant(
        "a plan is found by the agents alone",
        "engine/planning/planned.py",
        "return tuple(texts) if is_short else None",
        "return tuple(texts[2:3]) if is_short else None",
        ("engine/planning/test_planned.py",),
    ),
    Mutant(
        "a message is deleted before the agents beside it have ended",
        "entrypoints/branches.py",
        "            self._changed.wait_for(lambda: not self._running)\n",
        "            pass\n",
        BRANCHES,
    ),
    Mutant(
        "agents that were claimed beside one whose claim is refused are kept",
        "engine/advance/hand_off.py",
        "for each in claimed if errors else ():",
        "for each in ():",
        BRANCHES,
    ),
    Mutant(
        "who goes on with a question is written again though it was deleted",
        "engine/advance/questions.py",
        "    if agent.went_on:\n        return\n",
        "",
        QUESTIONS,
    ),
    Mutant(
        "who goes on with a question outlives a session that was cancelled",
        "engine/advance/questions.py",
        'elif session.status == "cancelled":',
        'elif session.status == "never":',
        QUESTIONS,
    ),
    Mutant(
        "an interrupted attempt is left to its worker",
        "engine/advance/questions.py",
        "    app.queue.send([wake(each) for each in to_end if each.lease_until is not None])\n",
        "",
        QUESTIONS,
    ),
    Mutant(
        "who was chosen is not looked for when a message comes again",
        "engine/recovery.py",
        "        if questions.is_going_on(agent):\n",
        "        if False:\n",
        QUESTIONS,
    ),
    Mutant(
        "a question waits for one that has ended",
        "engine/control/reconcile.py",
        "if not owing and not _follow(app, agents, finished):",
        "if not owing:",
        QUESTIONS,
    ),
    Mutant(
        "no read is consistent",
        ".",
        "consistent=True",
        "consistent=False",
        ("promises/test_lagging.py",),
    ),
    Mutant(
        "UnprocessedKeys are ignored",
        "store/tables/batches.py",
        'answer.get("UnprocessedKeys", {})',
        "{}",
        BATCHES,
    ),
    Mutant(
        "UnprocessedItems are ignored",
        "store/tables/batches.py",
        'answer.get("UnprocessedItems", {})',
        "{}",
        BATCHES,
    ),
    Mutant(
        "a claim asks for no tenant",
        "domain/lifecycle/agents.py",
        '    _READY & equals("partition_key", TENANT),\n',
        "    _READY,\n",
        TRANSITIONS,
    ),
    Mutant(
        "tenants share partitions",
        "store/parent_keys.py",
        'return f"{_escaped(tenant)}{SEPARATOR}{uuid}"',
        'return f"{SEPARATOR}{uuid}"',
        ("promises/test_same_uuids.py",),
    ),
    Mutant(
        "a fence keeps no start back",
        "store/transitions/starts.py",
        ".put_new(first)",
        ".put_many([first])",
        ("engine/planning/test_fences.py",),
    ),
    Mutant(
        "the shards of a list are not merged",
        "store/tables/shards.py",
        "    yield from heapq.merge(*parts, key=attrgetter(table.range_key), reverse=newest)\n",
        "    for part in parts:\n        yield from part\n",
        ("store/records/test_session_shards.py",),
    ),
    Mutant(
        "the sweep does not put sessions off first",
        "engine/control/reconcile.py",
        "    taken = app.sessions.rewatch(due, later)\n    if isinstance(taken, Rejected):\n"
        "        return  # another sweep was faster\n    session = taken.record\n",
        "    session = app.records.get_stored(SESSION, due.partition_key, due.key)\n"
        "    if session is None:\n        return\n",
        ("engine/control/test_reconcile.py",),
    ),
    Mutant(
        "a late result is not fenced",
        "domain/lifecycle/agents.py",
        'unchanged("run_uuid", "lease_token") & Exists("lease_until")',
        'Exists("lease_until")',
        (*TRANSITIONS, "promises/test_interleavings.py"),
    ),
    Mutant(
        "two tries to claim share a promised run",
        "domain/lifecycle/agents.py",
        'unchanged("run_uuid", "lease_token") & Exists',
        'unchanged("run_uuid") & Exists',
        TRANSITIONS,
    ),
    Mutant(
        "a living worker's attempt is taken over",
        "domain/lifecycle/agents.py",
        '    _EXPIRED & unchanged("run_uuid") & absent("paused"),\n    _BEGINS,',
        '    unchanged("run_uuid") & absent("paused"),\n    _BEGINS,',
        TRANSITIONS,
    ),
    Mutant(
        "an attempt is claimed again",
        "domain/lifecycle/agents.py",
        '    "a worker takes the next attempt",\n    (INITIAL, PENDING),\n    EXECUTING,\n   '
        " _READY",
        '    "a worker takes the next attempt",\n    (INITIAL, PENDING, EXECUTING),\n   '
        " EXECUTING,\n    SATISFIED",
        TRANSITIONS,
    ),
    Mutant(
        "a backoff is not kept",
        "domain/lifecycle/agents.py",
        ' & (absent("not_before") | UpTo("not_before", NOW))',
        "",
        (*TRANSITIONS, "engine/advance/test_conclusion.py"),
    ),
    Mutant(
        "a paused agent is claimed",
        "domain/lifecycle/agents.py",
        'absent("run_uuid", "awaits_user", "paused")',
        'absent("run_uuid", "awaits_user")',
        ("engine/control/test_controls.py",),
    ),
    Mutant(
        "an edge counts as often as it is removed",
        "domain/lifecycle/agents.py",
        '"one predecessor has ended", _ANY, None, Contains("unfinished", EDGE)\n',
        '"one predecessor has ended", _ANY, None, Exists("session_uuid")\n',
        TRANSITIONS,
    ),
    Mutant(
        "a counter shard counts as one edge",
        "store/transitions/edges.py",
        "model.in_degree.add(-width)",
        "model.in_degree.add(-1)",
        (*TRANSITIONS, "engine/graph/test_edge_outcomes.py"),
    ),
    Mutant(
        "the last edge but one starts a join",
        "domain/lifecycle/agents.py",
        ' & equals("in_degree", 1)',
        "",
        TRANSITIONS,
    ),
    Mutant(
        "a repeated claim is refused",
        "store/transitions/outcome.py",
        "    return Applied(record, again=True) if is_written else outcome\n",
        "    return outcome\n",
        TRANSITIONS,
    ),
    Mutant(
        "the end of a session is exported by all who meet it",
        "engine/traces.py",
        " and not outcome.again:",
        ":",
        OBSERVED,
    ),
    Mutant(
        "an attempt is exported as lost though its run is there",
        "engine/attempt/runs.py",
        "    if put.again:",
        "    if False:",
        OBSERVED,
    ),
    Mutant(
        "somebody else's record counts as one's own",
        "store/tables/table.py",
        "if refused.old is None or not record.is_same(refused.old):",
        "if refused.old is None:",
        ("test_bootstrap.py", "engine/attempt/test_recorded_attempts.py"),
    ),
    Mutant(
        "lost attempts leave no run",
        "engine/attempt/runs.py",
        "for attempt, run in lost(agent)),\n    ]\n    app.records.parallel",
        "for attempt, run in lost(agent)[:0]),\n    ]\n    app.records.parallel",
        CRASHES,
    ),
    Mutant(
        "an attempt that had ended is executed again",
        "engine/attempt/runs.py",
        "    if not attempts:\n        return None\n",
        "    if attempts or not attempts:\n        return None\n",
        CRASHES,
    ),
    Mutant(
        "an earlier failure ends a session that was retried",
        "domain/lifecycle/sessions.py",
        "    FAILED,\n    _UNTIL_EPOCH,\n",
        "    FAILED,\n    None,\n",
        ("engine/control/test_restart.py",),
    ),
    Mutant(
        "a session ends before its sinks",
        "domain/lifecycle/sessions.py",
        '_SINKS_ENDED = equals("open_sink_count", 0)',
        '_SINKS_ENDED = Exists("open_sink_count")',
        TRANSITIONS,
    ),
    Mutant(
        "a cancelled session ends again",
        "domain/lifecycle/sessions.py",
        "    OPEN_SESSION_STATUSES,\n    COMPLETED,\n    _SINK_OPEN,",
        "    _ANY,\n    COMPLETED,\n    _SINK_OPEN,",
        TRANSITIONS,
    ),
    Mutant(
        "a running agent is skipped",
        "domain/lifecycle/agents.py",
        '    _UNHELD,\n    AgentState.SKIPPED,\n    absent("lease_until") & _UNTIL_EPOCH,',
        "    OPEN_AGENT_STATES,\n    AgentState.SKIPPED,\n    _UNTIL_EPOCH,",
        TRANSITIONS,
    ),
    Mutant(
        "a delete does not look for children",
        "store/records/guards.py",
        "    if not any(look.count for look in looks):\n        try",
        "    if looks is not None:\n        try",
        GUARDS,
    ),
    Mutant(
        "a child does not look for its parent again",
        "store/records/repository.py",
        "            parent = self._parent(entity, tenant, parent_key, new_child=True)\n",
        "            parent = self._parent(entity, tenant, parent_key)\n",
        GUARDS,
    ),
    Mutant(
        "a delete that died blocks for ever",
        "store/records/guards.py",
        "owned & (deleting.does_not_exist() | (deleting < write_tokens.oldest_live(now)))",
        "owned & deleting.does_not_exist()",
        (
            "store/records/test_guards_crashes.py::test_a_delete_is_taken_over_once_its_tombstone_expired",
        ),
    ),
    Mutant(
        "the message of a held agent is deleted",
        "engine/beginning.py",
        "            raise Busy(max(agent.lease_until - lease.now, 0))\n        case"
        " Phase.LEASE_EXPIRED",
        "            return None\n        case Phase.LEASE_EXPIRED",
        CRASHES,
    ),
    Mutant(
        "successors are not enqueued",
        "engine/advance/hand_off.py",
        "    app.queue.send([wake(each) for each in ready if each.ordinal not in ours])\n",
        "",
        CRASHES,
    ),
    Mutant(
        "what cannot be stored now is asked for again",
        "engine/attempt/persistence.py",
        "            if not chain.has(app, seconds + 2 * longest + _SPARE):",
        "            if True:",
        ("engine/attempt/test_persistence.py",),
    ),
    Mutant(
        "what hands off claims whatever epoch it finds",
        "domain/lifecycle/agents.py",
        '_READY & unchanged("epoch")',
        "_READY",
        ("engine/advance/test_hand_off.py",),
    ),
    Mutant(
        "a dead letter means every epoch",
        "engine/advance/giving_up.py",
        " or (agent.epoch or 0) != wake.epoch",
        "",
        ("promises/test_faults.py",),
    ),
    Mutant(
        "a redelivered message does not look below its agent",
        "engine/recovery.py",
        "        enqueue_runnable(app, list(walk.standing.values()))\n",
        "        pass\n",
        CRASHES,
    ),
    Mutant(
        "the leases of a dead worker stay",
        "engine/control/lost_workers.py",
        "        app.agents.expire_lease(agent, 0 if died else REFUSED)\n",
        "        pass\n",
        ("engine/control/test_lost_workers.py",),
    ),
    Mutant(
        "the leases of a living worker are freed, too",
        "engine/control/lost_workers.py",
        " if is_lost(holder_of(each))]\n",
        "]\n",
        ("engine/control/test_lost_workers.py",),
    ),
    Mutant(
        "an agent whose message nobody holds gets none when its worker dies",
        "engine/control/lost_workers.py",
        "            app.queue.send([wake(each) for each in lost if each.key not in named])\n",
        "            pass\n",
        ("engine/control/test_lost_workers.py",),
    ),
    Mutant(
        "a new writer does not wait for who is the next",
        "database_turns.py",
        "        if not self._lock(fcntl.LOCK_SH):\n            return False\n",
        "        if not self._lock(fcntl.LOCK_SH):\n            return True\n",
        ("test_database_turns.py",),
    ),
    Mutant(
        "a message that returns forgets who was held",
        "engine/recovery.py",
        "        held = {each.ordinal for each in walk.standing.values() if is_held(each, now)}\n",
        "        held: set[int] = set()\n",
        ("engine/advance/test_proportion.py",),
    ),
    Mutant(
        "each turn of the end of a session begins at its first agent",
        "engine/advance/ending.py",
        "    turn = _turn(app, session, begun.after)\n",
        "    turn = _turn(app, session, None)\n",
        ("engine/advance/test_proportion.py",),
    ),
    Mutant(
        "a map expands although its session has ended",
        "engine/advance/maps.py",
        "    if session is not None:\n        end_those",
        "    if False:\n        end_those",
        ("engine/waits/test_ended_sessions.py",),
    ),
    Mutant(
        "a recorded end that kills its process is tried for ever",
        "engine/attempt/tries.py",
        "        if (agent.resumed or 0) + 1 < MOST_LOST:\n",
        "        if True:\n",
        ("engine/test_lost_attempts.py",),
    ),
    Mutant(
        "who ends a session by hand asks the sweep for no look",
        "api/resources.py",
        "        control.session_ends(\n",
        "        (lambda *_: None)(\n",
        ("promises/test_nothing_hangs.py",),
    ),
    Mutant(
        "a busy message is received until it is a dead letter",
        "entrypoints/deliveries.py",
        "            return self._resend(message, delivery, busy.retry_after)\n",
        "            return busy.retry_after\n",
        ("entrypoints/aws/test_worker.py", "entrypoints/local/test_local_worker.py"),
    ),
    Mutant(
        "what kills its worker is tried for ever",
        "engine/attempt/tries.py",
        "MOST_LOST = 5 ",
        "MOST_LOST = 1_000 ",
        ("engine/test_lost_attempts.py",),
    ),
    Mutant(
        "a job's repeated write undoes its heartbeat",
        "store/transitions/jobs.py",
        "(mine & is_open & is_later)",
        "(mine & is_open)",
        ("engine/waits/test_async_failures.py",),
    ),
    Mutant(
        "a lease is renewed after the last look for a run",
        "engine/step.py",
        "    if request is not None and not _is_here(app, agent, request):\n        return None\n",
        "    runs.ended(app, agent, earlier)\n    if request is not None and not _is_here(app,"
        " agent, request):\n        return None\n    earlier = []\n",
        ("engine/attempt/test_recorded_attempts.py",),
    ),
    Mutant(
        "a person's second answer counts",
        "domain/lifecycle/agents.py",
        '    (WAITING,),\n    PENDING,\n    equals("partition_key", TENANT) & unchanged("nonce", '
        '"waits_since"),',
        '    _ANY,\n    PENDING,\n    equals("partition_key", TENANT) & unchanged("nonce"),',
        (*TRANSITIONS, "engine/waits/test_people.py"),
    ),
    Mutant(
        "a wait ends at a deadline that was moved",
        "domain/lifecycle/agents.py",
        '    FAILED,\n    unchanged("due_at", "waits_since"),\n',
        "    FAILED,\n    None,\n",
        TRANSITIONS,
    ),
    Mutant(
        "the sink of a failure is not told to the session",
        "store/transitions/sessions.py",
        "            actions.append(Session.upstream_failed.set(True))\n",
        "            pass\n",
        (*CRASHES, "engine/graph/test_edge_outcomes.py"),
    ),
    Mutant(
        "blobs do not lie below a record's nonce",
        "store/records/blob_places.py",
        'return f"{place}/" if nonce is None else f"{place}+{nonce}/"',
        'return f"{place}/"',
        ("store/records/test_recreated.py",),
    ),
    Mutant(
        "a deleted agent's unfinished output is left",
        "store/records/guards.py",
        "return is_answered or (bool(agent.attempt) and not is_first)",
        "return False",
        ("store/records/test_recreated.py",),
    ),
    Mutant(
        "the end of a session in turns sends no message",
        "engine/advance/ending.py",
        "        app.queue.send(\n            [Wake(session.partition_key, ",
        "        str(\n            [Wake(session.partition_key, ",
        ("engine/advance/test_proportion.py",),
    ),
    Mutant(
        "the end of a session in turns is not watched",
        "store/transitions/sessions.py",
        "rows.AGENTS_END_BY, session, Session.agents_ended.set(begun), *look",
        "rows.AGENTS_END_BY, session, Session.agents_ended.set(begun)",
        TRANSITIONS,
    ),
    Mutant(
        "a schedule that was edited fires all the same",
        "engine/scheduling/firing.py",
        '    if (schedule.revision or "") != message.revision:\n',
        "    if False:\n",
        ("engine/scheduling/test_firing.py",),
    ),
    Mutant(
        "a schedule goes on although its sessions are as many as it may start",
        "engine/scheduling/firing.py",
        "runs >= schedule.max_runs",
        "runs > schedule.max_runs",
        ("engine/scheduling/test_overlap.py",),
    ),
    Mutant(
        "nobody hears of a backfill whose request dies",
        "engine/scheduling/by_hand.py",
        "            announce(app, schedule)\n",
        "            pass\n",
        ("engine/scheduling/test_owed.py",),
    ),
    Mutant(
        "a session of a backfill counts for everybody who finds it",
        "engine/scheduling/owed.py",
        "        mine = settled & {int(each) for each in schedule.owed or ()}\n",
        "        mine = settled\n",
        ("engine/scheduling/test_owed.py",),
    ),
    Mutant(
        "the sweep reads the first page of what is due alone",
        "store/transitions/schedules.py",
        "for shard, after in following if after is not None}",
        "for shard, after in following if False}",
        ("engine/scheduling/test_firing.py",),
    ),
    Mutant(
        "the sweep leaves alone what an earlier version has stored",
        "store/transitions/session_writes.py",
        "    return [*range(SHARDS), FORMER[int(now // 60) % len(FORMER)]]\n",
        "    return [*range(SHARDS), SHARDS]\n",
        ("engine/control/test_reconcile.py",),
    ),
)


def main() -> None:
    """Try all mutants, or those whose name contains a word, and print a table.

    Exits with 1 when one has survived.
    """
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("word", nargs="?", default="")
    arguments.add_argument("--at-once", type=int, default=2)
    given = arguments.parse_args()
    chosen = [each for each in MUTANTS if given.word in each.name]
    print(f"| {'mutant':58} | {'end':8} | seconds | noticed by |\n| --- | --- | --- | --- |")
    with ThreadPoolExecutor(given.at_once) as pool:
        survived = sum(pool.map(_tried, chosen))
    print(f"{len(chosen) - survived} of {len(chosen)} mutants killed")
    sys.exit(bool(survived))


def _tried(mutant: Mutant) -> bool:
    """Try one mutant; return whether it survives."""
    begun = monotonic()
    with TemporaryDirectory(prefix="mutant-") as folder:
        tree = Path(folder)
        for name in (
            PACKAGE,
            "tests",
            "benchmarks",
            "examples",
            "pyproject.toml",
            "template.yaml",
            "README.md",
        ):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, tree / name)
        mutate(tree / PACKAGE, mutant)
        noticed = _noticed(tree, mutant)
    end = "killed" if noticed else "SURVIVED"
    print(f"| {mutant.name:58} | {end:8} | {monotonic() - begun:7.1f} | {noticed} |", flush=True)
    return not noticed


def mutate(package: Path, mutant: Mutant) -> None:
    """Replace the text; raises `LookupError` unless it occurs exactly once in a file."""
    place = package / mutant.where
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    found = 0
    for each in files:
        text = each.read_text()
        found += text.count(mutant.old)
        each.write_text(text.replace(mutant.old, mutant.new))
    if found != 1 and not (found and place.is_dir()):
        raise LookupError(f"{mutant.name}: its text stands {found} times in {mutant.where}")


def _noticed(tree: Path, mutant: Mutant) -> str:
    """Return the first test that fails, or another sign of the fault; empty when there is none."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
    ]
    tests = [f"tests/{each}" for each in mutant.tests]
    try:
        done = subprocess.run(
            [*command, "--no-header", "-m", "not dynamodb_local", *tests],
            cwd=tree,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "a test that does not end"
    if done.returncode == 0:
        return ""
    failed = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("FAILED")]
    if not failed:
        raise RuntimeError(f"{mutant.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[0].rpartition("/")[2]


if __name__ == "__main__":
    main()
