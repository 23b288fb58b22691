"""Close what a forked child must not keep open. Functions of agents may fork: a child that kept the
lock or the port of a killed server would prevent a restart.
"""

import os
from typing import Protocol
from weakref import WeakSet


class Closable(Protocol):
    """A file or a socket."""

    def close(self) -> None: ...  # noqa: D102


_opened: WeakSet[Closable] = WeakSet()


def close_in_children(opened: Closable) -> None:
    """Close a file or a socket in each child that this process forks from now on."""
    _opened.add(opened)


def _close_all() -> None:
    for each in _opened:
        each.close()


os.register_at_fork(after_in_child=_close_all)
