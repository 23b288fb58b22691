"""The commands `ace examples list` and `ace examples copy`."""

import shlex
import sys
from pathlib import Path
from shutil import which
from typing import Annotated

from cyclopts import App, Parameter

from ai_coordination_engine.entrypoints.cli import example_files
from ai_coordination_engine.entrypoints.cli.example_files import example
from ai_coordination_engine.entrypoints.cli.output import write

Folder = Annotated[Path, Parameter(help="Folder to write to; created if needed.")]

examples = App(name="examples", help="Examples to read, run and copy.")


@examples.default
@examples.command(name="list")
def list_examples() -> None:
    """List the examples, with a line on each."""
    found = example_files.examples()
    width = max(len(each.name) for each in found)
    for each in found:
        write(f"{each.name:<{width}}  {each.summary}")
    write("\nTo copy one to this folder: ace examples copy NAME")


@examples.command(name="copy")
def copy_example(
    name: Annotated[str, Parameter(help="Name of the example, as ace examples lists it.")],
    folder: Folder = Path(),
) -> None:
    """Copy an example, a file or a folder, and print how to run it. Nothing is overwritten."""
    chosen = example(name)
    written = chosen.copy(folder)
    where = written if written.is_dir() else folder
    commands = [f"cd {shlex.quote(str(where))}"] * (where != Path()) + chosen.commands
    write("\n  ".join([f"Wrote {written}. To run it:", *_to_path(), *commands]))


def init(folder: Folder = Path(), /) -> None:
    """Write a run file, a function, a test and a README to begin with. Nothing is overwritten."""
    written = example_files.first_steps(folder)
    names = ", ".join(each.name for each in written)
    where = f"{folder}: {names}" if folder != Path() else names
    write(f"Wrote {where}. Read {folder / 'README.md'} first.")
    if needed := _to_path():
        write(f"Its commands are found after this one: {needed[0]}")


def _to_path() -> list[str]:
    """The command that puts this environment on the path, unless a shell finds its `ace`."""
    here = Path(sys.executable).parent
    found = which("ace")
    if not (here / "ace").exists() or (found and Path(found).parent.samefile(here)):
        return []
    return [f"export PATH={shlex.quote(str(here))}:$PATH"]
