"""Run `ace serve` repeatedly, each time in a process forked from one that has imported everything.

Reads a data directory from each line of stdin and serves it until the server is killed.
"""

import os
import sys

import ai_coordination_engine.api.schema
import ai_coordination_engine.entrypoints.local.server  # noqa: F401
from ai_coordination_engine.entrypoints.cli.cli import main


def serve_each() -> None:
    """Print `PID: …` for each server, which itself prints `API: …`, and `ENDED` when it
    has ended.
    """
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            sys.argv = ["ace", "serve", "--port", "0", "--data-dir", line.removesuffix("\n")]
            main()
        print(f"PID: {pid}", flush=True)  # noqa: T201
        os.waitpid(pid, 0)
        print("ENDED", flush=True)  # noqa: T201


if __name__ == "__main__":
    serve_each()
