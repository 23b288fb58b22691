"""Functions that the operator allows: found by a name in the settings, loaded when one is first
called.
"""

import pkgutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from traceback import walk_tb
from typing import Any, cast

from ai_coordination_engine.observability import logger
from ai_coordination_engine.ports import AgentFailure

ENTRY_POINT_GROUP = "ai_coordination_engine.functions"
_ENTRY_POINT = "entry_point:"
_MESSAGE_LIMIT = 1000
_PACKAGES = {"site-packages", "dist-packages"}
Function = Callable[[Any], object]
"""Foreign code; what it is given is an `AgentRequest` or an `ActionRequest`."""
_OURS, _STANDARD = Path(__file__).parents[1], Path(threading.__file__).parent
_MAY_PASS = ("timeout", "rate_limit", "unavailable", "invalid_output")


class AllowedFunctions:
    """The functions of an allow-list, and built-in ones that it does not replace. Thread-safe.

    `allowed` maps a name to `package.module:attribute`, or to `entry_point:NAME` for an installed
    entry point of the group `ai_coordination_engine.functions`. A record only chooses a name:
    nothing else is imported.
    """

    def __init__(
        self, allowed: Mapping[str, str], built_in: Mapping[str, Function] | None = None
    ) -> None:
        self._allowed = allowed
        self._functions = {
            name: each for name, each in (built_in or {}).items() if name not in allowed
        }

    @property
    def names(self) -> list[str]:
        """The names that may be called, in order."""
        return sorted({*self._functions, *self._allowed})

    def find(self, name: str, called: str) -> Function:
        """The function of an allowed name, known to people as `called`; raises `AgentFailure` when
        it does not load.
        """
        try:
            return self._loaded(name)
        # foreign code may raise anything, and Ctrl-C is the main thread's
        except BaseException as error:
            logger.warning("cannot load a function", exc_info=error)
            raise AgentFailure(
                f"{called} failed: {reason_of(error)}", error_class="not_allowed"
            ) from error

    def unloadable(self) -> Iterator[str]:
        """A line for each allowed function that does not load; the others are loaded now."""
        for name, target in self._allowed.items():
            try:
                self._loaded(name)
            except BaseException as error:  # as above
                yield f"{name!r} ({target}) failed: {reason_of(error)}"

    def _loaded(self, name: str) -> Function:
        if name not in self._functions:
            self._functions[name] = _load(self._allowed[name])
        return self._functions[name]


@contextmanager
def foreign(what: str) -> Iterator[None]:
    """Whatever foreign code raises in the context is raised as `AgentFailure`; `what` says what
    went wrong.

    An `AgentFailure` of its own stays, tried again when its class says that it may pass. A
    `TimeoutError` is of the class `timeout`; anything else is final.
    """
    try:
        yield
    except AgentFailure as failure:
        failure.retryable = failure.retryable or failure.error_class in _MAY_PASS
        raise
    # foreign code may raise anything, and Ctrl-C is the main thread's
    except BaseException as error:
        logger.warning("a function raised", exc_info=error)  # the traceback is for this log alone
        late = isinstance(error, TimeoutError)
        message = f"{what}: {reason_of(error)}"
        raise AgentFailure(
            message, retryable=late, error_class="timeout" if late else "error"
        ) from error


def reason_of(error: BaseException) -> str:
    """What foreign code raised, for people, and where in it: `KeyError: 'x' at my_agents.py:10 in
    boom`.
    """
    while isinstance(error, BaseExceptionGroup):  # of a task group: the first of them
        error = error.exceptions[0]
    place = _place(error)
    return f"{type(error).__name__}: {_words(error)}"[:_MESSAGE_LIMIT].rstrip(": ") + (
        f" at {place}" if place else ""
    )


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # its own `__str__` is foreign code, too
        return ""


def _place(error: BaseException) -> str:
    """The innermost line of the operator's own code, without its directory; else where a package's
    code was called.
    """
    lines = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    frames = [
        (Path(code.co_filename), line, code.co_name)
        for code, line in lines
        if code.co_filename[:7] != "<frozen"
    ]
    others = [each for each in frames if not each[0].is_relative_to(_OURS)]
    of_packages = [each for each in others if _PACKAGES & {*each[0].parts}]
    own = [
        each for each in others if each not in of_packages and not each[0].is_relative_to(_STANDARD)
    ]
    for file, line, function in own[-1:] or of_packages[:1]:
        return f"{file.name}:{line} in {function}"
    return ""


def _load(target: str) -> Function:
    if not target.startswith(_ENTRY_POINT):
        function = pkgutil.resolve_name(target)
    else:
        found = entry_points(group=ENTRY_POINT_GROUP, name=target.removeprefix(_ENTRY_POINT))
        if len(found) != 1:
            raise LookupError(
                f"{len(found)} installed packages offer the entry point, instead of one"
            )
        (point,) = found
        function = point.load()
    if not callable(function):
        raise TypeError(f"it is set to {type(function).__name__}, which cannot be called")
    return cast(Function, function)
