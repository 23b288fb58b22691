"""`ace backup` saves the state beside a running server, and says what it saved."""

import re
import stat
from pathlib import Path

import pytest

from ai_coordination_engine.entrypoints.cli.backup_command import backup
from ai_coordination_engine.entrypoints.cli.failures import FAILED, INVALID, Failure
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.ports import Wake
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import COORDINATION
from tests.kit.commands import ace

NAMES = {"coordination_name": "n", "updated_by": "me"}
SETTINGS = Settings(auth="local")


def test_what_a_server_acknowledged_is_in_a_backup_that_can_be_served(tmp_path: Path) -> None:
    data, target = tmp_path / "data", tmp_path / "backup.db"
    with home(data) as found:
        app = found.build(SETTINGS)
        app.records.create(COORDINATION, "t", ("t", "c"), lambda *_: NAMES, parent_key=None)
        app.records.blobs.put("a", b"1")
        app.queue.send([Wake("t", "s", "a")])
        assert len(app.queue.receive(1, wait=False)) == 1  # type: ignore[attr-defined]
        done = ace("backup", str(target), "--data-dir", str(data))
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(
            rf"Saved {data}/ace.db to {target} \([\d.]+ kB\):"
            r" 1 ace-coordinations, 1 blobs, 1 messages\.\n",
            done.stdout,
        )
        app.records.create(COORDINATION, "t", ("t", "later"), lambda *_: NAMES, parent_key=None)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    (restored := tmp_path / "restored").mkdir(mode=0o700)
    target.rename(restored / "ace.db")
    with home(restored) as found:
        app = found.build(SETTINGS)
        assert app.records.get(COORDINATION, "t", ("t", "c")) is not None
        assert app.records.get(COORDINATION, "t", ("t", "later")) is None
        assert app.records.blobs.get("a") == b"1"


def test_what_cannot_be_done_is_said_with_its_code(tmp_path: Path) -> None:
    (other := tmp_path / "other.db").touch()
    (earlier := tmp_path / "earlier").mkdir()
    (earlier / "journal.jsonl").touch()
    with home(tmp_path / "data") as found:
        found.build(SETTINGS)
    for target, folder, force, message, code in (
        (other, None, False, "Say where the state is", INVALID),
        (other, tmp_path, False, "There is no ace.db in", INVALID),
        (other, earlier, False, "holds the data of an earlier version", FAILED),
        (other, tmp_path / "data", False, "other.db exists; .* --force", FAILED),
        (tmp_path / "data" / "ace.db", tmp_path / "data", True, "a file of the state", FAILED),
    ):
        with pytest.raises(Failure, match=message) as refused:
            backup(target, folder, force=force)
        assert refused.value.code == code
    assert other.stat().st_size == 0
    backup(other, tmp_path / "data", force=True)
    assert other.stat().st_size > 0
