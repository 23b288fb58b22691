"""Functions are loaded anew when their files change; what runs finishes on the old code."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_coordination_engine.adapters.allowed import AllowedFunctions
from ai_coordination_engine.adapters.function_files import FunctionFiles

OLD = """
import helper_of_test

def shout(text):
    return helper_of_test.loud(text) + END

END = "!"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "agents_of_test.py").write_text(OLD)
    (tmp_path / "helper_of_test.py").write_text("def loud(text):\n    return text.upper()\n")
    yield tmp_path
    for name in ("agents_of_test", "helper_of_test", "new_of_test"):
        sys.modules.pop(name, None)


@pytest.fixture
def allowed(folder: Path) -> AllowedFunctions:
    functions = AllowedFunctions({"shout": "agents_of_test:shout"}, {"echo": str})
    assert list(functions.unloadable()) == []
    return functions


@pytest.fixture
def files(allowed: AllowedFunctions) -> FunctionFiles:
    return FunctionFiles([allowed])


def test_the_files_are_those_of_the_functions_and_of_what_they_import(
    files: FunctionFiles, folder: Path
) -> None:
    (folder / "unrelated.py").write_text("")
    assert files.names == [
        str(folder / each) for each in ("agents_of_test.py", "helper_of_test.py")
    ]
    assert files.changed() == []


def test_a_call_that_runs_keeps_its_code(
    files: FunctionFiles, allowed: AllowedFunctions, folder: Path
) -> None:
    running = allowed.find("shout", "it")
    # of the same size, within the same second
    (folder / "agents_of_test.py").write_text(OLD.replace('"!"', '"?"'))
    (folder / "helper_of_test.py").write_text("def loud(text):\n    return text.title()\n")
    assert files.changed() == ["agents_of_test.py", "helper_of_test.py"]
    assert files.changed() == []
    assert files.load() is None
    assert running("one two") == "ONE TWO!"
    assert allowed.find("shout", "it")("one two") == "One Two?"
    assert allowed.find("echo", "it")(5) == "5"


@pytest.mark.parametrize("end", ["", "1 / 0"])
def test_a_file_that_is_saved_while_it_is_loaded_is_loaded_once_more(
    files: FunctionFiles, allowed: AllowedFunctions, folder: Path, end: str
) -> None:
    newest = OLD.replace('"!"', '"?"')
    saving = f"import pathlib\npathlib.Path(__file__).write_text({newest!r})\n{end}"
    (folder / "agents_of_test.py").write_text(f"{OLD}\n{saving}")
    assert files.changed() == ["agents_of_test.py"]
    files.load()
    assert files.changed() == ["agents_of_test.py"]
    assert files.load() is None
    assert allowed.find("shout", "it")("a") == "A?"
    assert files.changed() == []


def test_code_that_cannot_be_loaded_changes_nothing_until_it_is_corrected(
    files: FunctionFiles, allowed: AllowedFunctions, folder: Path
) -> None:
    agents, new = folder / "agents_of_test.py", folder / "new_of_test.py"
    agents.write_text(f"{OLD}\nimport new_of_test\nEND = new_of_test.END\n")
    assert files.changed() == ["agents_of_test.py"]
    assert str(files.load()).startswith("ModuleNotFoundError: No module named 'new_of_test'")
    assert allowed.find("shout", "it")("a") == "A!"
    assert files.changed() == []
    new.write_text("END = ")  # a file that was not there
    assert files.changed() == ["new_of_test.py"]
    assert str(files.load()).startswith("SyntaxError")
    new.write_text("END = '…'")
    assert files.changed() == ["new_of_test.py"]
    assert files.load() is None
    assert allowed.find("shout", "it")("a") == "A…"
    assert str(new) in files.names


def test_a_function_that_is_no_longer_there_changes_nothing(
    files: FunctionFiles, allowed: AllowedFunctions, folder: Path
) -> None:
    (folder / "agents_of_test.py").write_text("shout = 5\n")
    files.changed()
    assert files.load() == "TypeError: it is set to int, which cannot be called"
    assert allowed.find("shout", "it")("a") == "A!"


def test_a_file_that_is_replaced_is_not_missed(files: FunctionFiles, folder: Path) -> None:
    helper = folder / "helper_of_test.py"
    text = helper.read_text()
    helper.unlink()
    assert files.changed() == []
    helper.write_text(f"{text}\n")
    assert files.changed() == ["helper_of_test.py"]
