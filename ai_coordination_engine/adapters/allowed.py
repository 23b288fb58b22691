"""Load the Python functions that the operator allows, and report their errors.

Used by `function` agents and by action functions. A function is found by its name in the settings
and imported when it is first called.
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
from ai_coordination_engine.runtime_ports import AgentFailure

ENTRY_POINT_GROUP = "ai_coordination_engine.functions"
_ENTRY_POINT = "entry_point:"
_MESSAGE_LIMIT = 1000
_PACKAGES = {"site-packages", "dist-packages"}
Function = Callable[[Any], object]
"""A function of the operator; its argument is an `AgentRequest` or an `ActionRequest`."""
_THIS_PACKAGE, _STANDARD_LIBRARY = Path(__file__).parents[1], Path(threading.__file__).parent
_RETRYABLE = ("timeout", "rate_limit", "unavailable", "invalid_output")


class AllowedFunctions:
    """The functions of an allow-list, plus built-in functions with other names. Thread-safe.

    `allowed` maps a name to `package.module:attribute`, or to `entry_point:NAME` for an installed
    entry point of the group `ai_coordination_engine.functions`. Records can only choose among these
    names, so nothing else is imported.
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
        """The names that may be called, sorted."""
        return sorted({*self._functions, *self._allowed})

    def find(self, name: str, called: str) -> Function:
        """Return the function of an allowed name.

        Raises `AgentFailure` when the function cannot be imported; `called` names the function in
        the message.
        """
        try:
            return self._loaded(name)
        # An import may raise anything. Ctrl-C is not lost: it is raised in the main thread.
        except BaseException as error:
            logger.warning("cannot load a function", exc_info=error)
            raise AgentFailure(
                f"{called} failed: {reason_of(error)}", error_class="not_allowed"
            ) from error

    def unloadable(self) -> Iterator[str]:
        """Yield a line for each allowed function that cannot be imported; imports all the
        others.
        """
        for name, target in self._allowed.items():
            try:
                self._loaded(name)
            except BaseException as error:  # as above
                yield f"{name!r} ({target}) failed: {reason_of(error)}"

    @property
    def module_names(self) -> list[str]:
        """The names of the modules of the allowed functions, and of the packages around them."""
        found = []
        for target in self._allowed.values():
            if not target.startswith(_ENTRY_POINT):
                parts = target.partition(":")[0].split(".")
                found += [".".join(parts[: length + 1]) for length in range(len(parts))]
        return found

    def load(self) -> dict[str, Function]:
        """Import all allowed functions that are not entry points; raises what an import raises."""
        return {
            name: _load(target)
            for name, target in self._allowed.items()
            if not target.startswith(_ENTRY_POINT)
        }

    def replace(self, functions: Mapping[str, Function]) -> None:
        """Let the next calls find these functions."""
        self._functions = {**self._functions, **functions}

    def _loaded(self, name: str) -> Function:
        if name not in self._functions:
            self._functions[name] = _load(self._allowed[name])
        return self._functions[name]


@contextmanager
def function_errors(what: str) -> Iterator[None]:
    """Turn every exception of an operator's function into an `AgentFailure`; `what` begins its
    message.

    An `AgentFailure` is passed on; it becomes retryable when its class is one that may pass. A
    `TimeoutError` gets the class `timeout` and is retryable. All other exceptions are final.
    """
    try:
        yield
    except AgentFailure as failure:
        failure.retryable = failure.retryable or failure.error_class in _RETRYABLE
        raise
    # A function may raise anything. Ctrl-C is not lost: it is raised in the main thread.
    except BaseException as error:
        logger.warning("a function raised", exc_info=error)  # the caller gets no traceback
        late = isinstance(error, TimeoutError)
        message = f"{what}: {reason_of(error)}"
        raise AgentFailure(
            message, retryable=late, error_class="timeout" if late else "error"
        ) from error


def reason_of(error: BaseException) -> str:
    """Describe an exception of an operator's function: `KeyError: 'x' at my_agents.py:10
    in boom`.
    """
    while isinstance(error, BaseExceptionGroup):  # a task group raises them
        error = error.exceptions[0]
    place = _place(error)
    return f"{type(error).__name__}: {_message(error)}"[:_MESSAGE_LIMIT].rstrip(": ") + (
        f" at {place}" if place else ""
    )


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # `__str__` may raise, too
        return ""


def _place(error: BaseException) -> str:
    """Return the place of the error as `file.py:10 in function`, without a directory.

    This is the innermost frame of the operator's own code, or else the outermost frame of an
    installed package. Empty when there is neither.
    """
    lines = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    frames = [
        (Path(code.co_filename), line, code.co_name)
        for code, line in lines
        if code.co_filename[:7] != "<frozen"
    ]
    others = [each for each in frames if not each[0].is_relative_to(_THIS_PACKAGE)]
    of_packages = [each for each in others if _PACKAGES & {*each[0].parts}]
    own = [each for each in others if is_own_code(each[0])]
    for file, line, function in own[-1:] or of_packages[:1]:
        return f"{file.name}:{line} in {function}"
    return ""


def is_own_code(file: Path) -> bool:
    """Whether a source file is the operator's own: of no installed package, nor of Python."""
    foreign = (_THIS_PACKAGE, _STANDARD_LIBRARY)
    return not _PACKAGES & {*file.parts} and not any(map(file.is_relative_to, foreign))


def _load(target: str) -> Function:
    if not target.startswith(_ENTRY_POINT):
        function = pkgutil.resolve_name(target)
    else:
        found = entry_points(group=ENTRY_POINT_GROUP, name=target.removeprefix(_ENTRY_POINT))
        if len(found) != 1:
            raise LookupError(f"{len(found)} installed packages provide this entry point; one must")
        (point,) = found
        function = point.load()
    if not callable(function):
        raise TypeError(f"it is set to {type(function).__name__}, which cannot be called")
    return cast(Function, function)
