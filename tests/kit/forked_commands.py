"""Run `ace` repeatedly, each time in a process forked from one that has imported it.

A connection to the socket at the path that is given brings arguments, variables and folder as JSON,
and stdout and stderr as descriptors; its answer is the exit code. Ends when stdin does.
"""

import json
import os
import select
import signal
import socket
import sys

import ai_coordination_engine.api.schema
import ai_coordination_engine.client
import ai_coordination_engine.entrypoints.cli.cli
import ai_coordination_engine.entrypoints.local.server  # noqa: F401
from ai_coordination_engine.entrypoints.cli.ace import main


def serve(path: str) -> None:
    """Run each command that is asked for, beside others."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        print("listening", flush=True)  # noqa: T201
        while select.select([listening, sys.stdin], [], [])[0] == [listening]:
            connection, _ = listening.accept()
            with connection:
                if not os.fork():
                    listening.close()
                    run(connection)


def run(connection: socket.socket) -> None:
    """Run a command in a child and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, outputs, _, _ = socket.recv_fds(connection, 65_536, 2)
    while more := connection.recv(65_536):
        request += more
    if child := os.fork():
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        connection.sendall(str(code).encode())
        os._exit(0)
    connection.close()
    given = json.loads(request)
    os.environ.update(given["variables"])
    os.chdir(given["folder"])
    sys.argv, sys.path[0] = ["-c", *given["arguments"]], ""
    for number, opened in enumerate((os.open(os.devnull, os.O_RDONLY), *outputs)):
        os.dup2(opened, number)
        os.close(opened)
    main()


if __name__ == "__main__":
    serve(sys.argv[1])
