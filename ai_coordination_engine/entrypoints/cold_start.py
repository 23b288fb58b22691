"""Start a process quickly: without garbage collections."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Disable garbage collection during a start and then exempt all objects from it.

    The objects of a start live as long as the process. Collections find no garbage among them and
    take an eighth of its time. Contexts may be nested.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()
