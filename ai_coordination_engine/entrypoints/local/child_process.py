"""A child process that runs agents; `working` starts it. The settings come from the environment."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from ai_coordination_engine.entrypoints.cli.failures import FAILED
from ai_coordination_engine.entrypoints.cold_start import without_collections


def main() -> None:
    """Work for the parent process until it says to stop, or ends."""
    threading.Thread(target=_end_with_parent, name="ace-parent", daemon=True).start()
    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGHUP):  # they go to the parent, too
        signal.signal(name, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    _work(stop)


def _work(stop: threading.Event) -> None:
    # Imported here because it takes half a second, in which the parent may end.
    with without_collections():
        from ai_coordination_engine.entrypoints.local.home import StartError  # noqa: PLC0415
        from ai_coordination_engine.entrypoints.local.worker_process import (  # noqa: PLC0415
            serving_work,
        )
        from ai_coordination_engine.settings import (  # noqa: PLC0415
            Settings,
            keep_loopback_from_proxies,
        )

    keep_loopback_from_proxies()
    data_dir, durability, reload = json.loads(sys.argv[1])
    try:
        with serving_work(Settings(), Path(data_dir), durability, reload=reload):
            stop.wait()
    except StartError as error:
        sys.stderr.write(f"ace: {error}\n")
        sys.exit(FAILED)


def _end_with_parent() -> None:
    """End this process at once when the other end of its standard input closes."""
    while os.read(0, 1):
        pass
    os._exit(FAILED)
