"""The comparison of engines: what it accepts, what its figures are, and small runs of it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.engines import served, side_by_side
from benchmarks.graphs import spread
from benchmarks.homes import offered
from benchmarks.peers import processes
from benchmarks.peers.__main__ import ratios
from benchmarks.peers.processes import PEERS, running
from benchmarks.stand_in import answer
from benchmarks.table import number
from benchmarks.workloads import (
    CHAIN,
    FAN,
    KILLED,
    LAYERS,
    MANY,
    WIDE,
    Call,
    Figure,
    Ran,
    Workload,
    Wrong,
    calls,
    chain,
    diamond,
    expected,
    fan,
    goes_on,
    hand_off,
    layered,
    layers,
    milliseconds,
    nodes,
    over_ideal,
    per_node,
    problems,
    sessions_a_second,
    sinks,
    verify,
)

SMALL = Workload("small", diamond(), {}, sessions=2)
LETTERS = "abcde"
AT = {"a": 0, "b": 10, "c": 11, "d": 20, "e": 30}
"""When each node of the diamond begins; each takes 5 s."""


def ran(*sessions: str) -> Ran:
    """What a right run of these sessions is."""
    right = {"e": expected(nodes(SMALL.graph))["e"]}
    made = [Call(each, node, AT[node], AT[node] + 5) for each in sessions for node in LETTERS]
    return Ran(40, made, dict.fromkeys(sessions, right))


def test_a_graph_is_its_nodes() -> None:
    assert nodes(fan(2)) == {
        "first": [],
        "middle/0": ["first"],
        "middle/1": ["first"],
        "last": ["middle/0", "middle/1"],
    }
    assert layered(nodes(diamond())) == [["a"], ["b", "c"], ["d"], ["e"]]
    assert sinks(nodes(layers(2, 2))) == ["a1-0", "a1-1"]
    assert nodes(chain(2)) == {"a0": [], "a1": ["a0"]}


@pytest.mark.parametrize(
    ("workload", "count"),
    [(CHAIN, 20), (FAN, 52), (MANY, 5), (LAYERS, 9), (KILLED, 5), (WIDE, 2002)],
    ids=lambda each: getattr(each, "what", ""),
)
def test_a_workload_has_the_size_that_it_is_named_after(workload: Workload, count: int) -> None:
    assert len(workload.nodes) == count


def test_an_answer_proves_what_reached_the_agent() -> None:
    assert answer("a", ["x", "y"]) == answer("a", ["y", "x"])
    others = [answer("a", each) for each in (["x"], ["x", "y", "y"], ["xy"], [])]
    assert len({answer("a", ["x", "y"]), answer("b", ["x", "y"]), *others}) == 6


def test_a_right_run_is_accepted() -> None:
    verify(SMALL, ran("s", "t"), ["s", "t"])


def without(node: str) -> Callable[[Ran], Ran]:
    return lambda right: replace(right, calls=[each for each in right.calls if each.node != node])


def with_call(call: Call) -> Callable[[Ran], Ran]:
    return lambda right: replace(right, calls=[*right.calls, call])


def with_output(session: str, **outputs: str) -> Callable[[Ran], Ran]:
    return lambda right: replace(right, outputs={**right.outputs, session: outputs})


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (without("e"), ["('s', 'e') ran 0 times", "('t', 'e') ran 0 times"]),
        (with_call(Call("s", "b", 40, 45)), ["('s', 'b') ran 2 times", "d of s did not wait"]),
        (with_call(Call("u", "a", 0, 5)), ["('u', 'a') ran, which nobody asked for"]),
        (with_call(Call("s", "e", 40)), ["e of s was abandoned"]),
        (with_output("s", e="e 0"), ["the outputs of s are {'e': 'e 0'}"]),
        (with_output("t"), ["the outputs of t are {}"]),
    ],
)
def test_a_run_that_is_not_right_is_refused(spoil: Callable[[Ran], Ran], told: list[str]) -> None:
    spoiled = spoil(ran("s", "t"))
    assert sorted(problems(SMALL, spoiled, ["s", "t"])) == sorted(told)
    with pytest.raises(Wrong, match=r"^small: "):
        verify(SMALL, spoiled, ["s", "t"])


def test_an_agent_that_does_not_wait_for_all_its_predecessors_is_noticed() -> None:
    right = ran("s")
    early = [replace(each, begun=14) if each.node == "d" else each for each in right.calls]
    found = list(problems(replace(SMALL, sessions=1), replace(right, calls=early), ["s"]))
    assert found == ["d of s did not wait"]


def test_only_the_agent_that_was_killed_may_begin_twice() -> None:
    again = with_call(Call("s", "d", 16))(ran("s"))
    assert list(problems(replace(SMALL, killed_at="d"), again, ["s"])) == []
    assert list(problems(replace(SMALL, killed_at="c"), again, ["s"])) == ["d of s was abandoned"]


def test_notes_are_calls() -> None:
    notes = ["+ s a 1.0", "+ t a 1.5", "- s a 2.0", "+ s b 2.5", "+ s b 4.0", "- s b 5.0"]
    assert calls(notes) == [
        Call("s", "a", 1, 2),
        Call("t", "a", 1.5),
        Call("s", "b", 2.5),
        Call("s", "b", 4, 5),
    ]


def test_figures_are_what_they_are_called() -> None:
    timed = replace(SMALL, seconds=5)
    run = ran("s", "t")
    assert per_node(timed, run) == 4000
    assert milliseconds(timed, run) == 40_000
    assert sessions_a_second(timed, run) == 0.05
    assert over_ideal(timed, run) == 2
    # 5 and 6 s after a, 4 s after c, 5 s after d, in both sessions
    assert hand_off(timed, run) == 5000
    killed = replace(with_call(Call("s", "d", 16))(ran("s")), answers=18)
    assert goes_on(timed, killed) == 2
    assert goes_on(timed, replace(killed, answers=21)) == 0


def test_numbers_have_three_digits() -> None:
    shown = [number(each) for each in (0.1234, 9.876, 12.34, 123.4, 1941.2)]
    assert shown == ["0.12", "9.88", "12.3", "123", "1,941"]
    assert (spread([2]), spread([3, 1, 2])) == ("one run", "median of 3, 1.00–3.00")


def test_a_ratio_below_one_means_that_we_are_faster() -> None:
    time, rate = Figure("", "ms", milliseconds), Figure("", "", milliseconds, more_is_better=True)
    values = {"ours": 2.0, "theirs": 4.0, "nothing": 0.0}
    assert ratios(time, values, ["ours"]) == ["0.50 ×", "–"]
    assert ratios(rate, values, ["ours"]) == ["2.00 ×", "0.00 ×"]


class Slow:
    """An engine that counts its runs."""

    def __init__(self, order: list[str], name: str) -> None:
        self._order, self._name = order, name

    def run(self, workload: Workload) -> Ran:
        self._order.append(self._name)
        return ran("s")

    def peak(self) -> float:
        return 1.0


def test_engines_run_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    engines = {name: Slow(order, name) for name in "xy"}
    found = side_by_side(engines, replace(SMALL, repeats=3))
    assert order == ["x", "y"] * 3
    assert {name: len(runs) for name, runs in found.items()} == {"x": 3, "y": 3}
    monkeypatch.setattr("benchmarks.engines.ENOUGH", 0)
    assert [len(runs) for runs in side_by_side(engines, SMALL).values()] == [0, 0]


def test_a_peer_runs_small_graphs_and_goes_on_after_a_kill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "MIDST", 0)  # killed long before the agent would end
    with running(PEERS["one commit a step"]) as peer:
        found = peer.run(SMALL)
        assert len(found.calls) == 10
        short = replace(KILLED, graph=chain(3), killed_at="a1", seconds=0.8)
        again = peer.run(short)
    assert [(each.node, each.ended is None) for each in again.calls] == [
        ("a0", False),
        ("a1", True),
        ("a1", False),
        ("a2", False),
    ]
    assert 0 <= goes_on(short, again) < again.seconds


def test_our_engine_runs_small_graphs_over_http() -> None:
    with served(offered()[0]) as ace:
        found = ace.run(replace(SMALL, seconds=0.01))
        wide = ace.run(replace(FAN, graph=fan(3), what="1 → 3 → 1"))
        assert ace.peak() > 10
    assert len(found.calls) == 10
    assert [each.node for each in wide.calls[:1]] == ["first"]
    assert {each.node for each in wide.calls[1:4]} == {"middle/0", "middle/1", "middle/2"}
