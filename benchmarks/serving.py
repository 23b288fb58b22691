"""Measure the API of a home over HTTP: requests a second, start-up, and pages of long lists."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks import sessions
from benchmarks.homes import HOMES
from benchmarks.server import Client, Server, processes
from benchmarks.table import Row, number
from benchmarks.workloads import CLIENTS

STARTS, PAGES = 5, 21
READERS, GET_SECONDS = 4, 3.0
FEW, MANY, VERY_MANY = 100, 1_000, 100_000
PAGE = 50
AT_ONCE = 90  # writes of one request
REACH = {"gets": "≥ 800", "cold": "≤ 0.8 s", "page": "≤ 1.2 ×"}
GET = (
    "query($c: String!, $t: String!) { task(coordinationUuid: $c, taskUuid: $t) { taskUuid taskName"
    " } }"
)
LIST = f"""query($c: String!) {{ sessionList(coordinationUuid: $c, limit: {PAGE}) {{
  sessionList {{ sessionUuid status }} }} }}"""
ONE = (
    'insertUpdateSession(coordinationUuid: $c, taskQuery: "q", updatedBy: "b") { session {'
    " sessionUuid } }"
)


def measure(home: str, *, long: bool = False) -> Iterator[Row]:
    reach = REACH if home == "sqlite" else {}
    with TemporaryDirectory() as name, HOMES[home](Path(name)) as made:
        folder = Path(name)

        def server() -> Server:
            return Server(made, folder / "journal", folder / "log")

        server().close()  # makes the files and the tables
        started = [_started(server()) for _ in range(STARTS)]
        yield Row(
            f"cold `ace serve` to its first answer, {home}",
            reach.get("cold", "–"),
            f"{number(median(each[0] for each in started))} s",
            f"new processes, median of {STARTS}, {number(min(started)[0])} to"
            f" {number(max(started)[0])} s; CPU time"
            f" {number(median(each[1] for each in started))} s",
        )
        with closing(server()) as running, closing(Client(running.url)) as client:
            coordination = client.data(sessions.COORDINATION, agents=[])[
                "insertUpdateCoordination"
            ]["coordination"]["coordinationUuid"]
            yield _gets(running, client, coordination, home, reach.get("gets", "–"))
            many = VERY_MANY if long else MANY
            yield _pages(running, client, coordination, many, home, reach.get("page", "–"))


def _started(server: Server) -> tuple[float, float]:
    """Return the seconds until the first answer and the CPU time that they took."""
    cpu = server.cpu()
    server.close()
    return server.answers - server.begun, cpu


def _gets(server: Server, client: Client, coordination: str, home: str, reach: str) -> Row:
    made = client.data(sessions.TASK, c=coordination, actions={})
    task = made["insertUpdateTask"]["task"]["taskUuid"]

    def read(_: int) -> int:
        count, until = 0, time.monotonic() + GET_SECONDS
        with closing(Client(server.url)) as mine:
            while time.monotonic() < until:
                answer = mine.data(GET, c=coordination, t=task)["task"]
                assert answer == {"taskUuid": task, "taskName": "t"}, answer
                count += 1
        return count

    before = server.cpu()
    with _on_one_core(server.pid), ThreadPoolExecutor(READERS) as pool:
        count = sum(pool.map(read, range(READERS)))
    cpu = (server.cpu() - before) / count
    return Row(
        f"get by key over HTTP, {home}",
        reach,
        f"{count / GET_SECONDS:,.0f} a second",
        f"all of the server on one core, {READERS} clients on the others, {GET_SECONDS:.0f} s; each"
        f" answer is right and takes {number(cpu * 1000)} ms of CPU time",
    )


@contextmanager
def _on_one_core(pid: int) -> Iterator[None]:
    """Run all threads of a server on one core and this process on the others (sched(7))."""
    cores = os.sched_getaffinity(0)
    one = {min(cores)}
    threads = [
        int(each.name) for found in processes(pid) for each in Path(f"/proc/{found}/task").iterdir()
    ]
    try:
        for thread in threads:
            os.sched_setaffinity(thread, one)
        os.sched_setaffinity(0, cores - one or cores)
        yield
    finally:
        for thread in (0, *threads):
            os.sched_setaffinity(thread, cores)


def _pages(
    server: Server, client: Client, coordination: str, many: int, home: str, reach: str
) -> Row:
    _insert(server, coordination, FEW)
    few = _page(client, coordination)
    _insert(server, coordination, many - FEW)
    more = _page(client, coordination)
    return Row(
        f"a page of {PAGE} sessions of {FEW} · {many:,}, {home}",
        reach,
        f"{number(few)} · {number(more)} ms ({more / few:.2f} ×)",
        f"over HTTP, medians of {PAGES} pages; each is whole",
    )


def _insert(server: Server, coordination: str, count: int) -> None:
    def insert(several: int) -> None:
        fields = " ".join(f"a{each}: {ONE}" for each in range(several))
        document = f"mutation($c: String!) {{ {fields} }}"
        with closing(Client(server.url)) as client:
            assert len(client.data(document, c=coordination)) == several

    whole, left = divmod(count, AT_ONCE)
    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(insert, [*[AT_ONCE] * whole, *[left] * bool(left)]))


def _page(client: Client, coordination: str) -> float:
    """Return the median time of the first page in ms."""
    taken = []
    for _ in range(PAGES):
        begun = time.perf_counter()
        listed = client.data(LIST, c=coordination)["sessionList"]["sessionList"]
        taken.append((time.perf_counter() - begun) * 1000)
        assert len({each["sessionUuid"] for each in listed}) == PAGE, json.dumps(listed)
    return median(taken)
