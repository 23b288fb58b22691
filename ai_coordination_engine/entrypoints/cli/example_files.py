"""The examples in this package, each a file or a folder; `ace examples` and `ace demo` use them.

The first line of an example says what it shows.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.texts import did_you_mean

_README = "README.md"
_LINE = re.compile(r"""^(?:\#+|//|\"{3})?\s*(.*?)(?:\"{3})?$""")
_SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_RUN = "Run it: "


class ExampleError(Exception):
    """An example cannot be copied; the message says why and what to do."""


@dataclass(frozen=True)
class Example:
    """An example: a file, or a folder with a README."""

    source: Traversable

    @property
    def name(self) -> str:
        """The name of the example: that of its file or folder, without an extension."""
        return self.source.name.partition(".")[0]

    @property
    def summary(self) -> str:
        """What the example shows, in one line."""
        return self._lines[0]

    @property
    def commands(self) -> list[str]:
        """The shell commands that run the example in its folder."""
        if self.source.is_dir():
            return [line for block in _SHELL.findall(self._text) for line in block.splitlines()]
        return [line.removeprefix(_RUN) for line in self._lines if line.startswith(_RUN)]

    @property
    def _lines(self) -> list[str]:
        return [_LINE.sub(r"\1", line) for line in self._text.splitlines()]

    @property
    def _text(self) -> str:
        described = self.source / _README if self.source.is_dir() else self.source
        return described.read_text(encoding="utf-8")

    def copy(self, folder: Path) -> Path:
        """Copy the example into a folder, which is created if needed; return its path.

        Nothing is overwritten, and the copy appears complete or not at all. Raises `ExampleError`.
        """
        target = folder / self.source.name
        if os.path.lexists(target):
            raise ExampleError(
                f"{target} exists already and is not overwritten. Choose another folder."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=f".{self.name}-") as unfinished:
                _copy(self.source, whole := Path(unfinished, self.source.name))
                whole.rename(target)
        except OSError as error:
            raise ExampleError(_why_not(target, error)) from error
        return target


def first_steps(folder: Path) -> list[Path]:
    """Write a run file, a function, a test and a README into a folder, which is created if needed;
    return their paths.

    Nothing is overwritten, also of what others write meanwhile: each file is created only where
    there is none, and those of a failure are removed. Raises `ExampleError`.
    """
    sources = _shipped(files(__package__) / "new_folder")
    made: list[Path] = []
    targets = [folder / each.name for each in sources]
    _refuse_taken(targets)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for each in sources:
            with (folder / each.name).open("xb") as file:
                made.append(folder / each.name)
                file.write(each.read_bytes())
    except OSError as error:
        for path in made:
            path.unlink(missing_ok=True)
        _refuse_taken(targets)
        raise ExampleError(_why_not(folder, error)) from error
    return sorted(made)


def _why_not(path: Path, error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{path} cannot be written: {error.filename} is not a folder."
    return f"{path} cannot be written: {error.strerror or error}."


def _refuse_taken(targets: Sequence[Path]) -> None:
    if taken := [str(each) for each in targets if os.path.lexists(each)]:
        are = "exists already and is" if len(taken) == 1 else "exist already and are"
        raise ExampleError(
            f"{', '.join(sorted(taken))} {are} not overwritten. Choose another folder."
        )


def examples() -> list[Example]:
    """Return all examples, sorted by name."""
    inside = files(__package__) / "examples"
    return sorted(map(Example, _shipped(inside)), key=lambda example: example.name)


def example(name: str) -> Example:
    """Return the example with this name, with or without an extension; raises `ExampleError`."""
    found = {each.name: each for each in examples()} | {
        each.source.name: each for each in examples()
    }
    if name in found:
        return found[name]
    hint = did_you_mean(name, [each.name for each in found.values()]) or "; see ace examples."
    raise ExampleError(f"There is no example {name!r}{hint}")


def _shipped(folder: Traversable) -> list[Traversable]:
    """Return the content of a folder, except what Python and Node create there."""
    return [
        each for each in folder.iterdir() if not each.name.startswith(("_", ".", "node_modules"))
    ]


def _copy(source: Traversable, target: Path) -> None:
    if not source.is_dir():
        with source.open("rb") as read, target.open("xb") as written:
            shutil.copyfileobj(read, written)
        return
    target.mkdir()
    for each in _shipped(source):
        _copy(each, target / each.name)
