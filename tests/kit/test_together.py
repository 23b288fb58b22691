"""Tests that share a costly resource run in one process."""

import re
import subprocess
import sys
from pathlib import Path

from tests.kit.together import LONG, TOGETHER, scope

ROOT = Path(__file__).parents[2]
TEST = """import pytest
@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("database", ["memory", "dynamodb_local"])
def test(database, number):
    pass
"""


def test_one_process_has_what_belongs_together(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "from tests.kit.together import pytest_xdist_make_scheduler\n"
    )
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "test_other.py").write_text(TEST)
    options = ["-n", "2", "-v", "-p", "no:randomly", "-c", "/dev/null", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    processes = re.findall(r"\[(gw\d)\].* PASSED .*\[dynamodb_local-", done.stdout)
    assert len(processes) == 8, done.stdout
    assert len(set(processes)) == 1


def test_whatever_belongs_together_is_there() -> None:
    modules = "".join(path.as_posix() for path in ROOT.glob("tests/**/*.py"))
    named = [part.split("::")[0] for part in (*TOGETHER, *LONG) if part.startswith("tests/")]
    assert [part for part in named if part not in modules] == []
    assert scope("tests/a/test_b.py::test_c[dynamodb_local-1]") == "DynamoDB Local"
    assert scope("tests/a/test_b.py::test_c[memory-1]") == "tests/a/test_b.py::test_c[memory-1]"
