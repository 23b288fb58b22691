"""The command `ace worker`."""

import os
from pathlib import Path

from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from ai_coordination_engine.entrypoints.local.worker_process import serving_work
from ai_coordination_engine.settings import Settings


def work(settings: Settings, data_dir: Path, durability: Durability, workers: int) -> None:
    """Run agents until Ctrl-C."""
    console = Terminal()
    with serving_work(settings, data_dir, durability, workers) as found:
        console.print(f"{found.where}\nWorker {os.getpid()} runs agents until Ctrl-C.")
        console.wait_until_interrupted()
