"""Load the operator's functions anew when their files change, for `ace serve --reload`.

The modules are made anew, not executed again: a call that runs keeps the functions, and the
globals, that it began with.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType

from ai_coordination_engine.adapters.allowed import AllowedFunctions, is_own_code, reason_of

State = Mapping[Path, tuple[int, int]]
"""The time of the last change (nanoseconds) and the size of each file."""


class FunctionFiles:
    """The files of the modules that allowed functions come from.

    These are the modules of the functions and, of the same folders, those that they import; neither
    installed packages nor the standard library. Not thread-safe.
    """

    def __init__(self, lists: Sequence[AllowedFunctions]) -> None:
        self._lists = lists
        self._has_failed = False
        self._state = self._look()

    @property
    def names(self) -> list[str]:
        """The files, sorted."""
        return sorted(map(str, self._state))

    def changed(self) -> list[str]:
        """Return the names of the files that have changed since the last call.

        After a failure also files that are new: one of them may be what was missing.
        """
        before, now = self._state, self._look()
        self._state = {**before, **now}  # one that is being replaced is not there for a moment
        return sorted(
            path.name
            for path, state in now.items()
            if before.get(path, None if self._has_failed else state) != state
        )

    def load(self) -> str | None:
        """Load all functions anew.

        Returns None, or why they cannot be loaded; then the earlier ones stay.
        """
        old, before = dict(self._modules()), self._look()
        for name, module in old.items():
            del sys.modules[name]
            _forget_compiled(module)
        importlib.invalidate_caches()
        try:
            found = [each.load() for each in self._lists]
        # an import may raise anything
        except BaseException as error:
            sys.modules.update(old)
            self._has_failed = True
            self._state = {**self._look(), **before}
            return reason_of(error)
        for each, functions in zip(self._lists, found, strict=True):
            each.replace(functions)
        self._has_failed = False
        self._state = {**self._look(), **before}  # one may have been saved since it was read
        return None

    def _look(self) -> State:
        files = {Path(str(module.__file__)) for _, module in self._modules()}
        if self._has_failed:
            files |= {file for root in self._roots() for file in root.glob("*.py")}
        found = {}
        for path in files:
            with suppress(OSError):
                status = path.stat()
                found[path] = status.st_mtime_ns, status.st_size
        return found

    def _modules(self) -> Iterator[tuple[str, ModuleType]]:
        """The loaded modules in the folders of the functions' modules."""
        roots = self._roots()
        for name, module in sorted(sys.modules.items()):
            file = _file(module)
            if file and name != "__main__" and any(map(Path(file).is_relative_to, roots)):
                yield name, module

    def _roots(self) -> set[Path]:
        names = {name for each in self._lists for name in each.module_names}
        return {Path(file).parent for name in names if (file := _file(sys.modules.get(name)))}


def _file(module: object) -> str | None:
    """The source file of a module of the operator's own."""
    file = getattr(module, "__file__", None)
    own = isinstance(file, str) and file.endswith(".py") and is_own_code(Path(file))
    return file if own else None


def _forget_compiled(module: ModuleType) -> None:
    """Python takes a compiled file for valid if the source has the same second and size."""
    with suppress(OSError, NotImplementedError):
        Path(cache_from_source(str(module.__file__))).unlink()
