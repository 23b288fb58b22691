"""How an edge is removed from the item that counts it: a session agent, or one of its counter
shards.
"""

from pynamodb.expressions.update import Action

from ai_coordination_engine.store.models import CounterShard, SessionAgent


def removing(
    model: type[SessionAgent | CounterShard],
    edge_id: int,
    width: int,
    *,
    unsatisfied: bool,
    upstream_failed: bool,
    metered: bool,
    note: str | None,
) -> list[Action]:
    """The update that removes one named edge; the rest as `SessionAgents.finish_edge`."""
    return [
        model.unfinished.delete([edge_id]),
        model.in_degree.add(-width),
        *([model.unsatisfied.set(True)] if unsatisfied else []),
        *([model.upstream_failed.set(True)] if upstream_failed else []),
        *([model.metered.set(True)] if metered else []),
        *([model.notes.set(model.notes | note)] if note else []),
    ]
