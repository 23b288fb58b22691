"""Declare the workloads for comparing engines, verify their runs, and compute their figures.

Uses the standard library only: programs in other environments import it.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.stand_in import answer

Nodes = dict[str, list[str]]
"""Maps each node to its predecessors, in topological order."""


@dataclass(frozen=True)
class Agent:
    """An agent of a graph: its predecessors, and how many copies of it run."""

    after: tuple[str, ...] = ()
    copies: int = 1


Graph = Mapping[str, Agent]


def chain(length: int) -> Graph:
    """Return a chain: 1 → 1 → …."""
    return {f"a{each}": Agent((f"a{each - 1}",) if each else ()) for each in range(length)}


def fan(width: int) -> Graph:
    """Return a fan: 1 → `width` → 1."""
    return {
        "first": Agent(),
        "middle": Agent(("first",), copies=width),
        "last": Agent(("middle",)),
    }


def diamond() -> Graph:
    """Return a graph of five agents: 1 → 2 → 1 → 1."""
    return {
        "a": Agent(),
        "b": Agent(("a",)),
        "c": Agent(("a",)),
        "d": Agent(("b", "c")),
        "e": Agent(("d",)),
    }


def layers(count: int, width: int) -> Graph:
    """Return layers of agents, each of which waits for the whole layer before."""
    return {
        f"a{layer}-{place}": Agent(
            tuple(f"a{layer - 1}-{each}" for each in range(width)) if layer else ()
        )
        for layer in range(count)
        for place in range(width)
    }


def nodes(graph: Graph) -> Nodes:
    """Return the nodes that run: each agent, or its copies, named `name/number`."""
    names = {
        name: [name] if agent.copies == 1 else [f"{name}/{each}" for each in range(agent.copies)]
        for name, agent in graph.items()
    }
    before = {name: [node for each in graph[name].after for node in names[each]] for name in graph}
    return {node: before[name] for name in graph for node in names[name]}


def layered(graph: Nodes) -> list[list[str]]:
    """Return the nodes in layers: no node waits for one of its own or a later layer."""
    depth: dict[str, int] = {}
    found: dict[int, list[str]] = defaultdict(list)
    for node, before in graph.items():
        depth[node] = 1 + max((depth[each] for each in before), default=-1)
        found[depth[node]].append(node)
    return list(found.values())


def sinks(graph: Nodes) -> list[str]:
    """Return the nodes without successors."""
    waited_for = {each for before in graph.values() for each in before}
    return [node for node in graph if node not in waited_for]


def expected(graph: Nodes) -> dict[str, str]:
    """Return the correct output of each node."""
    outputs: dict[str, str] = {}
    for node, before in graph.items():
        outputs[node] = answer(node, [outputs[each] for each in before])
    return outputs


@dataclass(frozen=True)
class Call:
    """A call of the agent, in seconds of the monotonic clock; a killed call has no end."""

    session: str
    node: str
    begun: float
    ended: float | None = None


@dataclass(frozen=True)
class Ran:
    """The results of a run.

    - `seconds`: from the first request to the end of the last session.
    - `outputs`: of the sinks, by session and node.
    - `answers`: when the engine answered after its last start, in monotonic time.
    """

    seconds: float
    calls: Sequence[Call]
    outputs: Mapping[str, Mapping[str, str]]
    answers: float = 0


@dataclass(frozen=True)
class Figure:
    """A figure that is computed from a run."""

    how: str
    unit: str
    of: Callable[["Workload", Ran], float]
    more_is_better: bool = False


@dataclass(frozen=True)
class Workload:
    """A workload.

    - `figures`: what is computed from its runs, by name.
    - `seconds`: how long each agent takes.
    - `sessions`: how many run concurrently.
    - `killed_at`: the node during which the engine is killed.
    """

    what: str
    graph: Graph
    figures: Mapping[str, Figure]
    seconds: float = 0
    sessions: int = 1
    repeats: int = 3
    killed_at: str = ""

    @property
    def nodes(self) -> Nodes:
        """The nodes of each session."""
        return nodes(self.graph)


class Wrong(Exception):
    """A run has wrong results, so its figures mean nothing."""


def calls(lines: Iterable[str]) -> list[Call]:
    """Return the calls that the lines of the journal describe."""
    begun: dict[tuple[str, str], list[float]] = defaultdict(list)
    found = []
    for sign, session, node, moment in (line.split() for line in lines):
        if sign == "+":
            begun[session, node].append(float(moment))
        else:  # what began before and did not end was killed
            found.append(Call(session, node, begun[session, node].pop(), float(moment)))
    left = [Call(*key, each) for key, moments in begun.items() for each in moments]
    return sorted([*found, *left], key=lambda call: call.begun)


def verify(workload: Workload, ran: Ran, sessions: Sequence[str]) -> None:
    """Raise `Wrong` unless each node ran once, after its predecessors, with the right outputs."""
    if found := list(problems(workload, ran, sessions)):
        raise Wrong(f"{workload.what}: " + "; ".join(found[:5]))


def problems(workload: Workload, ran: Ran, sessions: Sequence[str]) -> Iterator[str]:
    """Yield what is wrong with a run."""
    graph = workload.nodes
    right = {node: output for node, output in expected(graph).items() if node in sinks(graph)}
    whole = Counter((call.session, call.node) for call in ran.calls if call.ended is not None)
    wanted = {(session, node) for session in sessions for node in graph}
    yield from (f"{each} ran {whole[each]} times" for each in wanted if whole[each] != 1)
    yield from (f"{each} ran, which nobody asked for" for each in whole if each not in wanted)
    yield from (
        f"{call.node} of {call.session} was abandoned"
        for call in ran.calls
        if call.ended is None and call.node != workload.killed_at
    )
    yield from _out_of_order(graph, ran.calls)
    for session in sessions:
        if ran.outputs.get(session) != right:
            yield f"the outputs of {session} are {dict(ran.outputs.get(session, {}))}"


def _out_of_order(graph: Nodes, ran: Sequence[Call]) -> Iterator[str]:
    ended = {(call.session, call.node): call.ended for call in ran if call.ended is not None}
    for call in ran:
        waits_for = [ended.get((call.session, each)) for each in graph.get(call.node, [])]
        if any(each is None or each > call.begun for each in waits_for):
            yield f"{call.node} of {call.session} did not wait"


# Figures


def per_node(workload: Workload, ran: Ran) -> float:
    """Return the time of the run divided by its nodes, in ms."""
    return ran.seconds * 1000 / (len(workload.nodes) * workload.sessions)


def milliseconds(_: Workload, ran: Ran) -> float:
    """Return the time of the run in ms."""
    return ran.seconds * 1000


def whole_seconds(_: Workload, ran: Ran) -> float:
    """Return the time of the run in seconds."""
    return ran.seconds


def sessions_a_second(workload: Workload, ran: Ran) -> float:
    """Return how many sessions ended in a second."""
    return workload.sessions / ran.seconds


def over_ideal(workload: Workload, ran: Ran) -> float:
    """Return the time of the run divided by that of its layers of agents."""
    return ran.seconds / (len(layered(workload.nodes)) * workload.seconds)


def hand_off(workload: Workload, ran: Ran) -> float:
    """Return the median time from the last predecessor's end to a node's start, in ms."""
    ended = {(call.session, call.node): call.ended or 0 for call in ran.calls}
    graph = workload.nodes
    waits = [
        call.begun - max(ended[call.session, each] for each in graph[call.node])
        for call in ran.calls
        if graph[call.node]
    ]
    return median(waits) * 1000


def goes_on(_: Workload, ran: Ran) -> float:
    """Return the seconds from the restarted engine's first answer to the next node's start."""
    begun = [call.begun for call in ran.calls if call.ended is not None]
    killed = [call.begun for call in ran.calls if call.ended is None]
    return max(min(each for each in begun if each > max(killed)) - ran.answers, 0)


# Declarations

CHAIN = Workload(
    "chain of 20",
    chain(20),
    {
        "W1": Figure("request to end, shared out", "ms a step", per_node),
        "W5": Figure("an agent's end to its successor's start, median", "ms", hand_off),
    },
    repeats=5,
)
FAN = Workload(
    "1 → 50 → 1", fan(50), {"W2": Figure("request to end", "ms", milliseconds)}, repeats=5
)
MANY = Workload(
    "200 five-node graphs",
    diamond(),
    {
        "W3": Figure(
            "first request to last end, 8 clients",
            "a second",
            sessions_a_second,
            more_is_better=True,
        )
    },
    sessions=200,
)
LAYERS = Workload(
    "3 × 3 agents of 100 ms",
    layers(3, 3),
    {"W4": Figure("request to end / 300 ms", "×", over_ideal)},
    seconds=0.1,
    repeats=5,
)
KILLED = Workload(
    "kill -9 in a chain of 5, restart, next step",
    chain(5),
    {"W6": Figure("first answer to the next agent's start", "s", goes_on)},
    seconds=0.3,
    killed_at="a2",
)
WIDE = Workload(
    "1 → 2,000 → 1", fan(2000), {"W7": Figure("request to end", "s", whole_seconds)}, repeats=1
)
WORKLOADS = (CHAIN, FAN, MANY, LAYERS, KILLED, WIDE)

GROWTH = tuple(
    Workload(
        f"{count:,} agents",
        fan(count - 2),
        {"growth": Figure("request to end, shared out", "ms an agent", per_node)},
        repeats=repeats,
    )
    for count, repeats in ((10, 5), (100, 3), (1000, 1))
)
CLIENTS = 8
WARM_UP = Workload("warm-up", layers(2, 2), {}, sessions=2)
