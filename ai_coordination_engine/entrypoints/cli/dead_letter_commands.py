"""The commands `ace dlq list` and `ace dlq redrive`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_coordination_engine import bootstrap
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.cli import dead_letters
from ai_coordination_engine.entrypoints.cli.dead_letters import DeadLetters
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from ai_coordination_engine.entrypoints.local.data_dir import has_data
from ai_coordination_engine.entrypoints.local.home import has_endpoint, home
from ai_coordination_engine.entrypoints.local.local_settings import log_to_stderr
from ai_coordination_engine.settings import Settings


def show(settings: Settings, data_dir: Path | None, *, aws: bool) -> None:
    """Print the dead letters."""
    with _dead_letters(settings, data_dir, aws) as (engine, letters):
        found = dead_letters.listed(engine, letters)
    Terminal().print(
        "\n".join(on_one_line(letter.line) for letter in found) or "There are no dead letters."
    )


def redrive(settings: Settings, data_dir: Path | None, *, aws: bool) -> None:
    """Send the dead letters again; raises `Failure` when some remain."""
    console, stay = Terminal(), 0
    with _dead_letters(settings, data_dir, aws) as (engine, letters):
        count = 0
        for letter, done in dead_letters.redrive(engine, letters):
            count += 1
            stay += not done
            console.print(f"{on_one_line(letter.line)}: {done or 'remains'}")
    if not count:
        console.print("There are no dead letters.")
    elif data_dir and count > stay:
        console.print(f"To process them: ace serve --data-dir {data_dir}")
    if stay:
        raise Failure(f"{stay} of {count} dead letters remain in the queue.", FAILED)


@contextmanager
def _dead_letters(
    settings: Settings, data_dir: Path | None, aws: bool
) -> Iterator[tuple[App, DeadLetters]]:
    log_to_stderr(settings)
    elsewhere = aws or has_endpoint()
    if not elsewhere and not data_dir:
        raise Failure("Say where the queue is: --data-dir DIR, or --aws with ACE_QUEUE_URL.")
    if elsewhere and not settings.queue_url:
        raise Failure(
            "Set ACE_QUEUE_URL to the URL of the queue, and ACE_BUCKET to the name of the bucket."
        )
    if not elsewhere and data_dir and not has_data(data_dir):
        raise Failure(
            f"There is no data in {data_dir}; name the directory of: ace serve --data-dir DIR"
        )
    with home(data_dir, aws=aws, alone=False) as found:
        engine = bootstrap.build_app(settings) if elsewhere else found.build(settings)
        yield engine, DeadLetters.of(engine)
