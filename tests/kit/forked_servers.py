"""`ace serve`, again and again, each in a process of its own: forked off one that has imported all
of it already.

Reads a data directory from each line of its input, and serves it until somebody kills the server;
the next line then.
"""

import os
import sys

import ai_coordination_engine.api.schema
import ai_coordination_engine.entrypoints.local.embedded
import ai_coordination_engine.entrypoints.local.server  # noqa: F401
from ai_coordination_engine.entrypoints.cli.cli import main


def serve_each() -> None:
    """Say `PID: …` of each server, which says `API: …` itself, and `ENDED` when it has."""
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
