"""The six records as tests see them: arguments to create and change one, and its children."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ai_coordination_engine.engine.app import App
from benchmarks.harness.api import Api
from tests.kit.api import data, field_of
from tests.kit.homes import contents

Item = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Case:
    """One record on the wire; `keys` are the arguments of its key, its own uuid last."""

    name: str
    keys: tuple[str, ...]
    parents: tuple[str, ...]  # uuids of the world that are needed to create it
    required: Mapping[str, Any]
    optional: Mapping[str, Any]
    changed: Mapping[str, Any]
    children: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return self.name[0].upper() + self.name[1:]

    @property
    def uuid(self) -> str:
        return self.keys[-1]

    def put(self, api: Api, uuids: Item, **arguments: Any) -> Any:
        """Call `insertUpdate…` below the parents in `uuids`."""
        above = {name: uuids[name] for name in self.parents}
        return data(api, f"insertUpdate{self.title}", **{**above, **self.required, **arguments})[
            self.name
        ]

    def get(self, api: Api, uuids: Item) -> Any:
        return data(api, self.name, **{name: uuids[name] for name in self.keys})

    def delete(self, api: Api, uuids: Item) -> Any:
        return data(api, f"delete{self.title}", **{name: uuids[name] for name in self.keys})

    def list(self, api: Api, **arguments: Any) -> list[Any]:
        return list(data(api, f"{self.name}List", **arguments)[f"{self.name}List"])


COORDINATION = Case(
    "coordination",
    ("coordinationUuid",),
    (),
    {"updatedBy": "ann"},
    {
        "coordinationName": "brief",
        "coordinationDescription": "who",
        "agents": [{"agentUuid": "a"}, {"agentUuid": "b"}],
        "themeUuid": "theme",
    },
    {"coordinationName": "other"},
    ("task", "session"),
)
TASK = Case(
    "task",
    ("coordinationUuid", "taskUuid"),
    ("coordinationUuid",),
    {"taskName": "t", "updatedBy": "ann"},
    {
        "taskDescription": "what",
        "initialTaskQuery": "begin",
        "subtaskQueries": [{"agentUuid": "a", "subtaskQuery": "s"}],
        "agentActions": {"b": {"predecessors": ["a"]}},
    },
    {"taskDescription": "other"},
    ("taskSchedule",),
)
TASK_SCHEDULE = Case(
    "taskSchedule",
    ("taskUuid", "scheduleUuid"),
    ("coordinationUuid", "taskUuid"),
    {"updatedBy": "ann"},
    {"schedule": "rate(1 day)"},
    {"schedule": "rate(2 days)", "status": "active"},
)
SESSION = Case(
    "session",
    ("coordinationUuid", "sessionUuid"),
    ("coordinationUuid",),
    {"updatedBy": "ann"},
    {
        "taskUuid": "t",
        "userId": "u",
        "taskQuery": "q",
        "inputFiles": [{"file_Name": 1}],
        "iterationCount": 2,
        "subtaskQueries": [{"agentUuid": "a"}],
        "logs": "l",
    },
    {"taskQuery": "other", "status": "paused"},
    ("sessionAgent", "sessionRun"),
)
SESSION_AGENT = Case(
    "sessionAgent",
    ("sessionUuid", "sessionAgentUuid"),
    ("coordinationUuid", "sessionUuid"),
    {"agentUuid": "a", "updatedBy": "ann"},
    {"userInput": "u", "agentInput": "i", "agentOutput": "o", "inDegree": 1, "notes": "n"},
    {"agentOutput": "other", "state": "pending"},
)
SESSION_RUN = Case(
    "sessionRun",
    ("sessionUuid", "runUuid"),
    ("coordinationUuid", "sessionUuid"),
    {"threadUuid": "th", "agentUuid": "a", "asyncTaskUuid": "as", "updatedBy": "ann"},
    {"sessionAgentUuid": "sa"},
    {},
)
CASES = (COORDINATION, TASK, TASK_SCHEDULE, SESSION, SESSION_AGENT, SESSION_RUN)


WRITES = {f"insertUpdate{case.title}": case for case in CASES}


class World(dict[str, str]):
    """One record of each kind for a tenant, by the name of its uuid."""

    def __init__(self, api: Api) -> None:
        for case in CASES:
            own = {"runUuid": "run"} if case is SESSION_RUN else {}
            made = case.put(api, self, **{**case.optional, **own})
            self[case.uuid] = made[case.uuid]


def items(app: App) -> dict[str, list[str]]:
    """Return every item of every table, to check that a failed request has written nothing."""
    tables = contents(app.records).tables.items()
    return {
        name: sorted(repr(dict(sorted(item.items()))) for item in table.items.values())
        for name, table in tables
    }


def valid(field: str, world: Item, *, new: bool = False) -> dict[str, Any]:
    """Return arguments with which the field succeeds; `new` makes a write create its record."""
    past = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    needed = {"userQuery": "q", "userInput": "yes", **past}
    if field in WRITES:
        case = WRITES[field]
        made = {**{name: world[name] for name in {*case.parents, *case.keys}}, **case.required}
        if case is SESSION_RUN:
            return {**made, **case.optional, **({"runUuid": "new"} if new else {})}
        return {name: value for name, value in made.items() if name != case.uuid or not new}
    return {
        name: {**needed, **world}[name]
        for name, argument in field_of(field).args.items()
        if str(argument.type).endswith("!")
    }
