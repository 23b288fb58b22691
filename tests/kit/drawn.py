"""Hypothesis strategies for random histories: acyclic plans and faults."""

from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.kit import crashes
from tests.kit.histories import History, script
from tests.kit.outcomes import outcomes
from tests.kit.plans import Node, Plan, Trouble
from tests.kit.promises import check
from tests.kit.stage import Stage

MOST_AGENTS = 12

TROUBLE = st.builds(
    Trouble,
    seed=st.integers(0, 2**32 - 1),
    duplicates=st.sampled_from([0.0, 0.3]),
    crashes=st.sampled_from([0.0, 0.01, 0.05]),
    delays=st.sampled_from([0.0, 0.01, 0.05]),
    throttles=st.sampled_from([0.0, 0.01, 0.05]),
    repeats=st.sampled_from([0.0, 0.02, 0.1]),
    skew=st.sampled_from([0.0, 5.0]),
    lags=st.sampled_from([0.0, 0.5]),
    leftovers=st.sampled_from([0.0, 0.3]),
    controls=st.sampled_from([0.0, 0.3]),
    starts=st.booleans(),
    again=st.booleans(),
    deadline=st.booleans(),
    cancels=st.sampled_from([0.0, 0.0, 0.1]),
    forks=st.sampled_from([0.0, 0.0, 0.1]),
    deletes=st.sampled_from([0.0, 0.0, 0.2]),
    gives_up=st.booleans(),
)


@st.composite
def waiting(draw: st.DrawFn) -> dict[str, Any]:
    """Sometimes an agent waits for a person, a long job or an action function."""
    return {
        "asks": draw(st.sampled_from([False] * 20 + [True, True, "default", "default", "expires"])),
        "job": draw(st.sampled_from([None] * 18 + ["done", "silent", "beats", "fades"])),
        "acts": draw(st.integers(0, 9)) == 0,
    }


@st.composite
def nodes(draw: st.DrawFn, number: int) -> Node:
    """Draw an agent that waits for some of those before it."""
    before = sorted(draw(st.sets(st.integers(0, number - 1), max_size=4))) if number else []
    names = tuple(f"a{each}" for each in before)
    behaviour = draw(st.sampled_from(["go"] * 7 + ["stop", "flaky", "tired", "fail"]))
    items = draw(st.integers(0, 3))
    waits = draw(waiting())
    if not names:
        return Node((), behaviour, items, **waits)
    conditions = (
        tuple(draw(st.sets(st.sampled_from(names)))) if draw(st.integers(0, 3)) == 0 else ()
    )
    if draw(st.integers(0, 7)) == 0:
        over, join = draw(st.sampled_from(names)), draw(st.sampled_from(["all", "all_terminal"]))
        return Node(
            names, behaviour, items, conditions=tuple(sorted(conditions)), over=over, map_join=join
        )
    join = draw(st.sampled_from(["all", "all", "all", "any", "quorum", "all_terminal"]))
    quorum = draw(st.integers(1, len(names))) if join == "quorum" else 1
    return Node(names, behaviour, items, join, quorum, tuple(sorted(conditions)), **waits)


@st.composite
def plans(draw: st.DrawFn, most: int = MOST_AGENTS) -> Plan:
    """Draw acyclic graphs with all kinds of joins, conditions and failures."""
    size = draw(st.integers(2, most))
    agents = {f"a{number}": draw(nodes(number)) for number in range(size)}
    return Plan(agents, draw(st.sampled_from([None, "continue", "continue"])))


def tried(stage: Stage, number: int, first: int, most_agents: int = MOST_AGENTS) -> None:
    """Run so many histories drawn from the seed `first`; raise the first failure with its
    script.
    """

    @seed(first)
    @settings(
        max_examples=number,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(plan=plans(most_agents), trouble=TROUBLE)
    def history(plan: Plan, trouble: Trouble) -> None:
        try:
            check(stage, History(stage, plan, trouble).run(), outcomes(plan))
        except Exception as error:
            error.add_note(f"\nReplay it with\n\n{script(plan, trouble, stage.home)}")
            raise
        crashes.histories[0] += 1

    history()
