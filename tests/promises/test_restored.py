"""Sessions that ran when a backup was made go on after it is restored; nothing is run twice."""

import json
import shutil
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from time import sleep
from typing import Any

from ai_coordination_engine.database.copies import copy_of
from tests.kit.servers import COORDINATION, START, TASK, Server, Servers, completed

SLEEP = {"kind": "function", "name": "sleep", "seconds": 0.2}
CHAIN = {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]}
SESSIONS = [f"s-{number}" for number in range(10)]
LATER = [f"later-{number}" for number in range(3)]


def agents(backup: Path) -> dict[str, dict[str, Any]]:
    """Return the session agents of a file by their uuids."""
    with closing(sqlite3.connect(backup)) as connection:
        rows = connection.execute('SELECT r, item FROM "ace-session_agents"').fetchall()
    return {uuid: json.loads(item) for uuid, item in rows}


def states(found: dict[str, dict[str, Any]]) -> Counter[str]:
    """Count session agents by their states."""
    return Counter(each["state"]["S"] for each in found.values())


def test_sessions_of_a_backup_go_on_where_they_were_and_nothing_completed_runs_again(
    tmp_path: Path,
) -> None:
    backup = tmp_path / "backup.db"
    with closing(Servers(tmp_path / "log")) as servers:
        with closing(Server(servers, tmp_path / "data")) as server:
            server.data(
                COORDINATION, agents=[{"agentUuid": each, "runtime": SLEEP} for each in CHAIN]
            )
            server.data(TASK, actions={a: {"predecessors": before} for a, before in CHAIN.items()})
            with ThreadPoolExecutor(5) as pool:
                [*pool.map(lambda each: server.data(START, s=each), SESSIONS)]
                writing = pool.submit(lambda: [server.data(START, s=each) for each in LATER])
                while not states(agents(tmp_path / "data" / "ace.db"))["completed"]:
                    sleep(0.01)
                copy_of(tmp_path / "data" / "ace.db", backup)
                writing.result(60)
            server.kill()
        before = agents(backup)
        found = states(before)
        assert found["completed"] > 0
        assert found["executing"] + found["pending"] + found["initial"] > 0
        assert (tmp_path / "data" / "ace.db-wal").stat().st_size > 0  # what came after the backup
        shutil.copy(backup, tmp_path / "data" / "ace.db")
        with closing(Server(servers, tmp_path / "data")) as server:
            runs = Counter[str]()
            for session in SESSIONS:  # every one was acknowledged before the backup began
                whole = completed(server, session)
                assert {each["state"] for each in whole["sessionAgents"]} == {"completed"}
                runs.update(each["sessionAgentUuid"] for each in whole["sessionRuns"])
                for each in whole["sessionAgents"]:
                    was = before[each["sessionAgentUuid"]]
                    if was["state"]["S"] == "completed":
                        assert each["attempt"] == int(was["attempt"]["N"])
                        assert runs[each["sessionAgentUuid"]] == each["attempt"]
