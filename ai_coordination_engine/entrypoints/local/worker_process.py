"""A worker process: `ace worker` runs one, and a server with several workers runs them as children.

The settings come from the environment.
"""

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.cli.failures import FAILED
from ai_coordination_engine.entrypoints.local.home import Home, StartError, joined
from ai_coordination_engine.entrypoints.local.local_settings import local_settings, log_to_stderr
from ai_coordination_engine.entrypoints.local.working import working
from ai_coordination_engine.settings import Settings, keep_loopback_from_proxies


@contextmanager
def serving_work(
    settings: Settings, data_dir: Path, durability: Durability, workers: int = 1
) -> Iterator[Home]:
    """Run agents of a data directory on `workers` processes while the context is open.

    Raises `StartError`.
    """
    log_to_stderr(settings)
    settings, _, _ = local_settings(settings)
    with joined(data_dir, durability) as found, working(found.build(settings), found, workers):
        yield found


def main() -> None:
    """Work for the parent process until it says to stop, or ends."""
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGHUP):  # they go to the parent, too
        signal.signal(name, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    threading.Thread(target=_end_with_parent, name="ace-parent", daemon=True).start()
    keep_loopback_from_proxies()
    data_dir, durability = json.loads(sys.argv[1])
    try:
        with serving_work(Settings(), Path(data_dir), durability):
            stop.wait()
    except StartError as error:
        sys.stderr.write(f"ace: {error}\n")
        sys.exit(FAILED)


def _end_with_parent() -> None:
    """End this process at once when the other end of its standard input closes."""
    while os.read(0, 1):
        pass
    os._exit(FAILED)
