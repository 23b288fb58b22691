"""Say in one line why something cannot be reached, from the exceptions of a library."""

import os
from collections.abc import Iterator
from itertools import islice

_DEEPEST = 20  # causes of an error: they may be a circle
_LONGEST = 300  # characters


def causes(error: BaseException) -> list[BaseException]:
    """The error and what has caused it; of a group of errors the first."""
    return list(islice(_causes(error), _DEEPEST))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        within = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = within or error.__cause__ or error.__context__


def why(error: BaseException) -> str:
    """The words of the operating system if it refused (`Connection refused`), else those of the
    library.
    """
    system = [_of_system(each) for each in causes(error) if isinstance(each, OSError)]
    said = " ".join(next(filter(None, system), str(error)).split())[:_LONGEST]
    return said or type(error).__name__


def _of_system(error: OSError) -> str | None:
    # asyncio has words of its own for these
    return (
        os.strerror(error.errno)
        if isinstance(error, ConnectionError) and error.errno
        else error.strerror
    )
