"""`ace init` and `ace completion`."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.assembly import allow_list
from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.entrypoints.cli.example_files import ExampleError
from ai_coordination_engine.entrypoints.run_file.run_checks import not_allowed
from ai_coordination_engine.entrypoints.run_file.run_file import read_run_file
from ai_coordination_engine.settings import Settings

FILES = ["README.md", "my_agents.py", "run.yaml", "test_my_agents.py"]


def ace(*words: str) -> None:
    app(list(words), result_action="return_value", exit_on_error=False, print_error=False)


def test_what_it_writes_passes_its_test_and_is_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "new" / "one"
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    ace("init", str(folder))
    assert capsys.readouterr().out == (
        f"Wrote {folder}: {', '.join(FILES)}. Read {folder}/README.md first.\n"
    )
    assert sorted(each.name for each in folder.iterdir()) == FILES
    ran = subprocess.run(
        [sys.executable, "-m", "unittest"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stderr.splitlines()[-1]) == (0, "OK")
    monkeypatch.syspath_prepend(str(folder))
    plan = read_run_file(folder / "run.yaml")
    allowed = allow_list(Settings(functions={"count_words": "my_agents:count_words"}))
    assert [*not_allowed(allowed, plan)] == []


@pytest.mark.parametrize("others", [[], ["ace"]], ids=["no ace", "another ace"])
def test_where_a_shell_does_not_find_this_ace_it_says_how(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    others: list[str],
) -> None:
    (here := tmp_path / "an environment").mkdir()
    (elsewhere := tmp_path / "bin").mkdir()
    for file in (here / "ace", *(elsewhere / each for each in others)):
        file.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(here / "python"))
    monkeypatch.setenv("PATH", str(elsewhere))
    export = f"export PATH='{here}':$PATH"
    ace("init", str(tmp_path / "new"))
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"Its commands are found after this one: {export}"
    ]
    ace("examples", "copy", "hello", str(tmp_path))
    assert capsys.readouterr().out.splitlines()[1] == f"  {export}"
    monkeypatch.setenv("PATH", f"{here}:{elsewhere}")
    ace("init", str(tmp_path / "newer"))
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_nothing_is_overwritten_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("mine")
    with pytest.raises(ExampleError, match=r"run\.yaml exists already and is not overwritten"):
        ace("init", str(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["run.yaml"]
    assert (tmp_path / "run.yaml").read_text() == "mine"


def test_a_file_that_another_program_writes_meanwhile_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path.mkdir

    def mkdir(self: Path, *given: Any, **named: Any) -> None:
        made(self, *given, **named)
        (tmp_path / "new" / "run.yaml").write_text("mine")

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(ExampleError, match=r"run\.yaml exists already and is not overwritten"):
        ace("init", str(tmp_path / "new"))
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["run.yaml"]
    assert (tmp_path / "new" / "run.yaml").read_text() == "mine"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_completion_names_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    ace("completion", shell)
    script = capsys.readouterr().out
    for name in ("sessions", "watch", "--data-dir", "--answer"):
        assert name.removeprefix("--") in script
    if shell == "bash":
        checked = subprocess.run(["bash", "-n"], input=script, text=True, check=False)
        assert checked.returncode == 0
