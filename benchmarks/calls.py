"""Count the AWS calls and capacity units of each operation."""

from collections.abc import Iterator
from dataclasses import dataclass

from ai_coordination_engine.domain.ids import new_uuid
from benchmarks import backends, sessions
from benchmarks.harness.api import Api, Worker
from benchmarks.meter import Meter, Taken
from benchmarks.table import Row

PAGE = 50
TASK = """mutation($c: String!, $u: String, $name: String!, $actions: JSONCamelCase) {
  r: insertUpdateTask(coordinationUuid: $c, taskUuid: $u, taskName: $name,
      agentActions: $actions, updatedBy: "b") {
    task { uuid: taskUuid } } }"""
COORDINATION = """mutation($u: String) {
  r: insertUpdateCoordination(coordinationUuid: $u, coordinationName: "n", updatedBy: "b") {
    coordination { uuid: coordinationUuid } } }"""
SESSION = """mutation($c: String!, $t: String) {
  r: insertUpdateSession(coordinationUuid: $c, taskUuid: $t, taskQuery: "q", updatedBy: "b") {
    session { uuid: sessionUuid } } }"""
GET = (
    "query($c: String!, $u: String!) { task(coordinationUuid: $c, taskUuid: $u) { taskUuid taskName"
    " agentActions } }"
)
DELETE = "mutation($u: String!) { deleteCoordination(coordinationUuid: $u) { ok } }"
FLAT = (
    "query($c: String!) { sessionList(coordinationUuid: $c, limit: 50) { sessionList { sessionUuid"
    " status } } }"
)
TOTAL = """query($c: String!) {
  sessionList(coordinationUuid: $c, limit: 50) { sessionList { sessionUuid status } total } }"""
DEEP = """query($c: String!) { sessionList(coordinationUuid: $c, limit: 50) { sessionList {
  sessionUuid coordination { coordinationName } task { taskName } } } }"""
WHOLE = """query($c: String!, $u: String!) { session(coordinationUuid: $c, sessionUuid: $u) {
  status coordination { coordinationName } task { taskName }
  sessionAgents { agentUuid state agentOutput } sessionRuns { agentUuid asyncTask } } }"""


@dataclass(frozen=True)
class Counter:
    """Sends documents and counts their calls."""

    api: Api
    meter: Meter

    def make(self, document: str, **variables: object) -> str:
        """Return the uuid of the record that the mutation makes; the calls are not counted."""
        (payload,) = self.api.data(document, **variables)["r"].values()
        self.meter.taken()
        return str(payload["uuid"])

    def row(self, what: str, most: int | str, document: str, **variables: object) -> Row:
        """Return a row with the calls of one document, which may answer with errors."""
        self.api.send(document, **variables)
        return row(what, most, self.meter.taken())


def row(what: str, most: int | str, taken: Taken) -> Row:
    """Return a row with the counted calls."""
    return Row(
        what, f"≤ {calls(most)}" if isinstance(most, int) else most, calls(taken.total), str(taken)
    )


def calls(count: int) -> str:
    return f"{count} call{'s' if count != 1 else ''}"


def measure() -> Iterator[Row]:
    with backends.in_process() as app, sessions.client(app) as api:
        worker = Worker(app)
        counter = Counter(api, Meter(app, worker.client))
        yield from _records(counter)
        yield from _lists(counter)
        yield from _sessions(counter, worker)
        yield from _planned(counter, worker)


def _by_partition(what: str, whole: Taken) -> Row:
    """Return a row with a session's writes by table and index, which other sessions may share."""
    places = [
        f"{name} {whole.written[name]} ({whole.units[name]} WCU)" for name in sorted(whole.written)
    ]
    own = whole.written["sessions"]
    return Row(
        f"a session's own row: writes from start to end, {what}",
        "≤ 2",
        str(own),
        f"writes by table and index: {', '.join(places)}; docs/scale.md says what shares a"
        " partition",
    )


def _records(counter: Counter) -> Iterator[Row]:
    unknown = new_uuid(counter.api.app.clock.now())
    coordination = counter.make(COORDINATION)
    task = counter.make(TASK, c=coordination, name="n")
    foreign = Counter(counter.api.as_tenant("somebody else"), counter.meter)
    yield counter.row("get by key", "1 call", GET, c=coordination, u=task)
    yield counter.row("get an unknown uuid", "1 call", GET, c=coordination, u=unknown)
    yield foreign.row("get a foreign uuid", "1 call", GET, c=coordination, u=task)
    yield counter.row("insert a coordination", 1, COORDINATION)
    yield counter.row(
        "insert a coordination under a uuid of the client's", "–", COORDINATION, u=unknown
    )
    yield counter.row("insert a task", 3, TASK, c=coordination, name="n")
    yield counter.row(
        "insert a task under a uuid of the client's", "–", TASK, c=coordination, u=unknown, name="n"
    )
    yield counter.row("insert a session", 3, SESSION, c=coordination, t=task)
    yield counter.row("update a task", 2, TASK, c=coordination, u=task, name="m")
    yield counter.row(
        "update a task's actions", 2, TASK, c=coordination, u=task, name="m", actions={}
    )
    yield counter.row("delete a coordination, refused", 5, DELETE, u=coordination)
    yield counter.row("delete a coordination", 5, DELETE, u=counter.make(COORDINATION))


def _lists(counter: Counter) -> Iterator[Row]:
    coordination = counter.make(COORDINATION)
    for _ in range(PAGE):
        task = counter.make(TASK, c=coordination, name="n")
        counter.make(SESSION, c=coordination, t=task)
    yield counter.row(f"list of {PAGE} sessions", "1 Query", FLAT, c=coordination)
    yield counter.row(f"list of {PAGE} sessions with total", "–", TOTAL, c=coordination)
    yield counter.row(
        f"list of {PAGE} sessions with coordination and {PAGE} tasks", 3, DEEP, c=coordination
    )


def _planned(counter: Counter, worker: Worker) -> Iterator[Row]:
    for what, graph in (("DAG of 5", sessions.diamond()), ("chain of 5", sessions.chain(5))):
        static = _whole(counter, worker, sessions.Plan.of(counter.api, graph))
        planned = _whole(counter, worker, sessions.Plan.planned(counter.api, graph))
        yield Row(
            f"a planned session beside the same graph given statically, {what}",
            "≤ 6 calls more",
            f"{planned.total - static.total} calls more",
            f"{planned}",
        )


def _whole(counter: Counter, worker: Worker, plan: sessions.Plan) -> Taken:
    """Return what a session takes from its start to its end."""
    counter.meter.taken()
    plan.start()
    worker.drain()
    return counter.meter.taken()


def _sessions(counter: Counter, worker: Worker) -> Iterator[Row]:
    for what, graph, most in (
        ("DAG of 5", sessions.diamond(), "–"),
        ("chain of 5", sessions.chain(5), 30),
    ):
        plan = sessions.Plan.of(counter.api, graph)
        counter.meter.taken()
        session_uuid = plan.start()
        started = counter.meter.taken()
        yield row(f"executeProcedureTaskSession, {what}", 8, started)
        worker.drain()
        whole = started + counter.meter.taken()
        yield row(f"a whole session, {what}", most, whole)
        yield _by_partition(what, whole)
        yield counter.row(
            f"read a session with all below it, {what}",
            5,
            WHOLE,
            c=plan.coordination_uuid,
            u=session_uuid,
        )
