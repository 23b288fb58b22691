"""Measure the most expensive requests that the API accepts, with a full store.

`make bench ARGS="--only hostile"` prints one row, and on stderr the cost of each request.
"""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

from graphql import get_introspection_query

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.records.entities import (
    SESSION,
    SESSION_AGENT,
    SESSION_RUN,
    TASK,
    Entity,
)
from benchmarks import backends, sessions
from benchmarks.harness.api import Api
from benchmarks.table import Row

SESSIONS, AGENTS, RUNS, TASKS = 3_000, 2_000, 2_000, 60
TEXT = "x" * 40_000
KEYS = 'coordinationUuid: "c", sessionUuid: "s"'
WHOLE = f"session({KEYS})"
AGENT = "agentUuid state agentOutput agentAction notes"
CYCLE = (
    "sessionAgents { agentUuid session { sessionAgents { agentUuid session { sessionAgents {"
    " agentUuid %s } } } } }"
)
START = (
    'executeProcedureTaskSession(coordinationUuid: "c", taskUuid: "t") { procedureTaskSession {'
    " sessionUuid } }"
)
PUT = 'insertUpdateTask(coordinationUuid: "c", taskName: "n", updatedBy: "b") { task { taskUuid } }'


def times(count: int, field: str) -> str:
    return " ".join(f"a{number}: {field}" for number in range(count))


def one(selection: str) -> str:
    return f"{{ {WHOLE} {{ {selection} }} }}"


def listed(arguments: str, selection: str, name: str = "session") -> str:
    return f"{{ {name}List({arguments}) {{ {name}List {{ {selection} }} }} }}"


SHAPES: dict[str, str] = {
    "cycle of three lists": one(CYCLE % ""),
    "cycle with texts": one(CYCLE % "agentOutput"),
    "cycle through runs": one(
        "sessionRuns { session { sessionRuns { session { sessionAgents { agentUuid } } } } }"
    ),
    "cycle of small sessions": listed("limit: 10", CYCLE.replace("%s", "")),
    "all of a session": one(
        f"logs sessionAgents {{ {AGENT} session {{ status }} }} sessionRuns {{ runUuid asyncTask }}"
    ),
    "forty sessions by alias": (
        f"{{ {times(40, f'{WHOLE} {{ sessionAgents {{ agentUuid state }} }}')} }}"
    ),
    "forty whole sessions by alias": (
        f"{{ {times(40, f'{WHOLE} {{ sessionAgents {{ {AGENT} }} }}')} }}"
    ),
    "aliases of a list": one(times(8, "sessionAgents { agentUuid }")),
    "aliases of a text": one(f"sessionAgents {{ {times(60, 'agentOutput')} }}"),
    "aliases of JSON": one(f"sessionAgents {{ {times(60, 'agentAction')} }}"),
    "inputs": one("sessionAgents { agentInput whyNotRunning { code waitsFor { agentUuid } } }"),
    "definitions": f"{{ {times(90, f'{WHOLE} {{ definition }}')} }}",
    "a thousand sessions": listed(
        "limit: 1000",
        "sessionUuid status taskQuery userId createdAt task { taskName } coordination { agents }",
    ),
    "a thousand sessions with their agents": listed("limit: 1000", "sessionAgents { agentUuid }"),
    "a hundred sessions with all below": listed(
        "limit: 100", "sessionAgents { agentUuid } sessionRuns { runUuid }"
    ),
    "aliases of lists": (
        f"{{ {times(18, 'sessionList(limit: 10) { sessionList { sessionUuid } }')} }}"
    ),
    "aliases of totals": f"{{ {times(9, 'sessionList(limit: 1) { total }')} }}",
    "one total": '{ sessionList(coordinationUuid: "c") { total } }',
    "a far page": (
        '{ sessionList(coordinationUuid: "c", limit: 999, pageNumber: 3) { sessionList { status'
        " } } }"
    ),
    "aliases of far pages": (
        f"{{ {times(18, 'sessionList(limit: 1, pageNumber: 2900) { sessionList { status } }')} }}"
    ),
    "a filter that nothing passes": (
        '{ sessionList(userId: "nobody") { sessionList { status } total } }'
    ),
    "aliases of that": f'{{ {times(9, """sessionList(userId: "nobody", limit: 1) { total }""")} }}',
    "a filter on large texts": listed('taskDescription: "needle"', "taskUuid", "task"),
    "aliases of that, too": (
        f'{{ {times(8, """taskList(taskDescription: "needle") { total }""")} }}'
    ),
    "large texts": listed("limit: 60", "taskDescription initialTaskQuery", "task"),
    "agents of all sessions": listed(
        'coordinationUuid: "c", agentUuid: "nobody"', "agentUuid", "sessionAgent"
    ),
    "introspection": get_introspection_query(input_value_deprecation=True),
    "introspection by alias": (
        f"{{ {times(6, '__schema { types { fields { args { name type { name } } } } }')} }}"
    ),
    "introspection in breadth": (
        f"{{ __schema {{ types {{ {times(60, 'fields { name description }')} }} }} }}"
    ),
    "starts": f"mutation {{ {times(12, START)} }}",
    "writes": f"mutation {{ {times(95, PUT)} }}",
}


def measure() -> Iterator[Row]:
    with backends.sqlite() as app, sessions.client(app) as api:
        _fill(app, api)
        taken = {name: _taken(api, document) for name, document in SHAPES.items()}
    for name, (cpu, size, code) in taken.items():
        print(f"  {name}: {cpu:.2f} s, {size / 1e6:.2f} MB {code}", file=sys.stderr)
    answered = {name: found for name, found in taken.items() if not found[2]}
    slowest, largest = (max(taken, key=lambda name: taken[name][at]) for at in (0, 1))
    yield Row(
        f"worst accepted request, CPU · bytes, of {len(SHAPES)} shapes",
        "≤ 2 s · ≤ 20 MB",
        f"{taken[slowest][0]:.2f} s · {taken[largest][1] / 1e6:.1f} MB",
        f"{slowest} · {largest}; {len(answered)} answered, {len(taken) - len(answered)} refused or"
        f" ended; {SESSIONS:,} sessions, one of {AGENTS:,} agents; the SQLite file included",
    )


def _taken(api: Api, document: str) -> tuple[float, int, str]:
    """Return seconds of CPU, bytes of the answer, and the code of its first error."""
    begun = time.process_time()
    answer = api.send(document)
    body = json.dumps(answer, ensure_ascii=False).encode()
    seconds = time.process_time() - begun
    return (
        seconds,
        len(body),
        next((error["extensions"]["code"] for error in answer.get("errors", ())), ""),
    )


def _fill(app: App, api: Api) -> None:
    agents = [{"agentUuid": f"a{number}"} for number in range(20)]
    api.data(
        'mutation($a: [JSONCamelCase]) { insertUpdateCoordination(coordinationUuid: "c", agents:'
        ' $a, updatedBy: "b") { coordination { coordinationUuid } } }',
        a=agents,
    )
    texts = {"initial_task_query": "x" * 100_000, "task_description": "x" * 100_000}
    for number in range(TASKS):
        key = ("c", "t" if number == 0 else f"t{number}")
        app.records.create(
            TASK,
            sessions.TENANT,
            key,
            lambda *_: {"task_name": "n", **texts},
            parent_key=(sessions.TENANT, "c"),
        )
    common = {
        "partition_key": sessions.TENANT,
        "created_at": app.clock.now(),
        "updated_at": app.clock.now(),
    }
    below = {**common, "coordination_uuid": "c", "agent_uuid": "a1"}
    agent = {**below, "state": "completed", "agent_action": {"predecessors": ["x"] * 50}}
    _put(
        app,
        SESSION,
        "c",
        "s",
        SESSIONS,
        {**common, "task_uuid": "t", "user_id": "u", "status": "completed"},
    )
    _put(app, SESSION_AGENT, "s", "a", AGENTS, {**agent, "agent_output": "o" * 500})
    _put(
        app,
        SESSION_RUN,
        "s",
        "r",
        RUNS,
        {**below, "session_agent_uuid": "a0001", "async_task": {"status": "completed"}},
    )
    for number in range(1, 60):
        _put(
            app,
            SESSION_AGENT,
            f"s{number:05}",
            "a",
            20,
            {**agent, "agent_output": TEXT if number < 20 else "o"},
        )


def _put(
    app: App, entity: Entity, hash_value: str, prefix: str, count: int, values: dict[str, Any]
) -> None:
    table = app.records.table(entity)
    first = [prefix] if entity is SESSION else []
    names = [*first, *(f"{prefix}{number:05}" for number in range(1, count + 1 - len(first)))]
    table.put_many([table.model(hash_value, name, **values) for name in names])
