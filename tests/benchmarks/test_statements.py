"""What a step costs on an SQLite file, as counts that do not depend on the machine."""

from benchmarks import backends, sessions
from benchmarks.statements import one_more


def test_one_more_agent_of_a_chain_takes_these_statements() -> None:
    with backends.sqlite() as app, sessions.client(app) as api:
        plans = [sessions.Plan.of(api, sessions.chain(count)) for count in (3, 5)]
        step = one_more(app, *plans)
    each = {word: count / 2 for word, count in step.statements.items() if count}
    # its end and its successor's claim are updates of what this process wrote, which nobody has
    # changed since; its run is inserted
    assert each == {"BEGIN": 1, "COMMIT": 1, "UPDATE": 2, "INSERT": 1}
