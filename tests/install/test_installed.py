"""What a user of the wheel has: names to import, types, and a command that reports what
is missing.
"""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.install.conftest import ROOT, Installed, linked

NAMES = "ActionRequest, ActionResult, AgentFailure, AgentRequest, AgentResult, PredecessorOutput"
INSTALL = 'Install what the command line needs: pip install "ai-coordination-engine[local]"\n'
EXAMPLES = ROOT / "ai_coordination_engine/entrypoints/cli/examples"


def test_what_people_import_needs_nothing_but_the_wheel(
    installed: Installed, tmp_path: Path
) -> None:
    code = f"from ai_coordination_engine import {NAMES}; import sys; print(*sys.modules)"
    done = installed.run("python", "-I", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    packages = {name.partition(".")[0] for name in done.stdout.split()}
    assert packages - sys.stdlib_module_names - {"__main__"} <= {
        "ai_coordination_engine",
        "sitecustomize",
    }
    ours = {name for name in done.stdout.split() if name.startswith("ai_coordination_engine.")}
    assert {name for name in ours if ".domain" not in name} == {
        "ai_coordination_engine.data_classes",
        "ai_coordination_engine.runtime_ports",
    }


def test_what_runs_on_aws_needs_no_extra(installed: Installed, base: Path, tmp_path: Path) -> None:
    code = """import sys
from ai_coordination_engine.entrypoints.aws import api_handler, sweep, worker
print(*sys.modules)"""
    region = {"AWS_DEFAULT_REGION": "us-east-1"}
    done = installed.run("python", "-c", code, cwd=tmp_path, others=base, **region)
    assert done.returncode == 0, done.stderr
    assert not {"cyclopts", "rich", "starlette", "uvicorn", "yaml"} & set(done.stdout.split())


GOOD = """
from collections.abc import Sequence

from ai_coordination_engine import (
    ActionRequest, ActionResult, AgentFailure, AgentRequest, AgentResult, PredecessorOutput,
)


def longest(outputs: Sequence[PredecessorOutput]) -> str:
    return max((each.output for each in outputs), key=len, default="")


def shout(request: AgentRequest) -> AgentResult:
    if not request.input:
        raise AgentFailure("nothing to shout", error_class="invalid_request", retry_after=2.5)
    return AgentResult(longest(request.predecessors).upper(), usage={"input_tokens": 1})


def route(request: ActionRequest) -> ActionResult:
    return ActionResult(successors=[each for each in request.successors if each != "pager"])
"""
WRONG = """
from ai_coordination_engine import ActionRequest, ActionResult
from ai_coordination_engine import AgentFailure, AgentRequest, AgentResult


def shout(request: AgentRequest) -> AgentResult:
    if request.inputs:
        raise AgentFailure("no", retryable=3)
    return AgentResult(output=1)


def route(request: ActionRequest) -> ActionResult:
    return ActionResult(successors="pager", chosen=[])
"""
ERRORS = [
    'wrong.py:7: "AgentRequest" has no attribute "inputs"; maybe "input"?  [attr-defined]',
    (
        'wrong.py:8: Argument "retryable" to "AgentFailure" has incompatible type "int"; expected'
        ' "bool"  [arg-type]'
    ),
    (
        'wrong.py:9: Argument "output" to "AgentResult" has incompatible type "int"; expected "str"'
        "  [arg-type]"
    ),
    'wrong.py:13: Unexpected keyword argument "chosen" for "ActionResult"  [call-arg]',
]


def test_functions_of_users_are_checked_by_strict_mypy(
    installed: Installed, tmp_path: Path
) -> None:
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "wrong.py").write_text(WRONG)
    for example in ("own_function/my_agents.py", "fallback/prices.py"):
        shutil.copy(EXAMPLES / example, tmp_path)  # beside the checkout mypy would find its sources
    options = [
        "--strict",
        "--no-error-summary",
        "--config-file",
        "",
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        *options,
        "--python-executable",
        str(installed.bin / "python"),
    ]
    done = installed.run(*mypy, *(path.name for path in tmp_path.glob("*.py")), cwd=tmp_path)
    told = [
        line.replace(": error: ", ": ")
        for line in done.stdout.splitlines()
        if ": note:" not in line
    ]
    assert told == ERRORS, done.stderr


@pytest.mark.parametrize("arguments", [[], ["run", "x.yaml"]])
def test_ace_without_its_extra_says_what_to_install(
    installed: Installed, base: Path, tmp_path: Path, arguments: list[str]
) -> None:
    done = installed.run("ace", *arguments, cwd=tmp_path, others=base)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"ace: the package 'cyclopts' is not installed. {INSTALL}"


def test_ace_with_a_part_of_its_extra_says_the_same(
    installed: Installed, base: Path, tmp_path: Path
) -> None:
    others = linked(tmp_path, ["ai-coordination-engine", "cyclopts", "pyyaml", "rich"])
    done = installed.run("ace", "demo", "--exit", cwd=tmp_path, others=others)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(
        rf"ace: the package '(starlette|uvicorn)' is not installed\. {re.escape(INSTALL)}",
        done.stderr,
    )


def test_the_extra_holds_no_emulator_of_aws(local: Path) -> None:
    found = {each.name for each in local.iterdir()}
    assert {"boto3", "uvicorn", "starlette"} <= found
    assert not {"moto", "flask", "werkzeug", "docker", "cryptography"} & found


def test_demo_runs_anywhere_and_says_on_what(
    installed: Installed, local: Path, tmp_path: Path
) -> None:
    done = installed.run("ace", "demo", "--exit", "--port", "0", cwd=tmp_path, others=local)
    assert done.returncode == 0, done.stderr
    assert "No model is configured" in done.stdout
    assert "editor: completed" in done.stdout
    assert "heat pumps" in done.stdout
    assert "curl -s http://127.0.0.1:" in done.stdout
    assert re.search(r"^Open: http://127\.0\.0\.1:\d+/$", done.stdout, re.MULTILINE)


def test_an_example_is_listed_copied_and_run_as_it_says(
    installed: Installed, local: Path, tmp_path: Path
) -> None:
    def ace(*arguments: str) -> str:
        done = installed.run("ace", "examples", *arguments, cwd=tmp_path, others=local)
        assert done.returncode == 0, done.stderr
        return done.stdout

    names = {path.name.partition(".")[0] for path in EXAMPLES.iterdir()}
    assert {line.split()[0] for line in ace().splitlines() if line} - {"To"} == names
    wrote, *commands = ace("copy", "own_function").splitlines()
    assert wrote == "Wrote own_function. To run it:"
    script = "\n".join(commands).replace("PYTHONPATH=.", f"PYTHONPATH={local}:.")
    done = installed.run("sh", "-ec", script, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (
        0,
        "apology:\nWe are sorry. (8 words read)\n",
    ), done.stderr
