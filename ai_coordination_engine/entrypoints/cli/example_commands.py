"""`ace examples`: what there is, and a copy of one to begin with."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ai_coordination_engine.entrypoints.cli import example_files
from ai_coordination_engine.entrypoints.cli.example_files import example
from ai_coordination_engine.entrypoints.cli.output import write

examples = App(name="examples", help="Examples to read, to run and to begin with.")


@examples.default
@examples.command(name="list")
def list_examples() -> None:
    """List the examples, with a line on each."""
    found = example_files.examples()
    width = max(len(each.name) for each in found)
    for each in found:
        write(f"{each.name:<{width}}  {each.summary}")
    write("\nTo have one in this folder: ace examples copy NAME")


@examples.command(name="copy")
def copy_example(
    name: Annotated[str, Parameter(help="What ace examples calls it.")],
    folder: Annotated[Path, Parameter(help="Where to write it; made if need be.")] = Path(),
) -> None:
    """Write an example, a file or a folder, and say how to run it. Nothing is replaced."""
    chosen = example(name)
    written = chosen.copy(folder)
    where = written if written.is_dir() else folder
    commands = [f"cd {shlex.quote(str(where))}"] * (where != Path()) + chosen.commands
    write("\n  ".join([f"Wrote {written}. To run it:", *commands]))
