"""Workflows, issue forms, dependency updates and the contributing guide are consistent."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(set(GITHUB.glob("ISSUE_TEMPLATE/*.yml")) - {GITHUB / "ISSUE_TEMPLATE/config.yml"})
TEXTS = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", GITHUB / "pull_request_template.md"]
ACTION = re.compile(r"(?P<action>[\w-]+/[\w/-]+)@(?P<version>v\d+|[0-9a-f]{40})")


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: Path) -> list[dict[str, Any]]:
    return [step for job in loaded(workflow)["jobs"].values() for step in job["steps"]]


def test_actions_are_pinned_and_the_same_in_every_workflow() -> None:
    versions = defaultdict(set)
    for workflow in WORKFLOWS:
        for step in steps(workflow):
            if "uses" in step:
                snapshot = ACTION.fullmatch(step["uses"])
                assert snapshot, step["uses"]
                versions[snapshot["action"]].add(snapshot["version"])
    assert "actions/checkout" in versions
    assert {action: len(found) for action, found in versions.items()} == dict.fromkeys(versions, 1)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_more_rights_than_it_needs(workflow: Path) -> None:
    content = loaded(workflow)
    assert content["permissions"] == {"contents": "read"}
    for name, job in content["jobs"].items():
        writes = [right for right, kind in job.get("permissions", {}).items() if kind == "write"]
        assert writes == (["contents"] if name == "publish" else []), name
        assert job["timeout-minutes"] <= 40
    for step in steps(workflow):
        assert "${{" not in step.get("run", ""), (
            "an expression within a script can be made to run something else"
        )
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


def test_a_release_is_checked_built_and_published_from_what_was_checked() -> None:
    release = loaded(GITHUB / "workflows/release.yml")
    assert release[True] == {"push": {"tags": ["v*"]}}  # `on` is a truth value in YAML 1.1
    commands = [step.get("run", "") for step in release["jobs"]["build"]["steps"]]
    assert [each for each in commands if each.startswith(("make", ".ci/"))] == [
        ".ci/run",
        "make wheel",
    ]
    assert 'test "$GITHUB_REF_NAME" = "v$(.venv/bin/ace --version)"' in commands
    assert release["jobs"]["publish"]["needs"] == "build"
    assert "make wheel" not in str(release["jobs"]["publish"])


def test_every_change_runs_what_people_run_and_builds_what_is_deployed() -> None:
    commands = [step["run"] for step in steps(GITHUB / "workflows/ci.yml") if "run" in step]
    assert commands == [".ci/run", "make package image"]


def targets() -> set[str]:
    """Return the targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("path", [*WORKFLOWS, *TEXTS], ids=lambda path: path.name)
def test_whatever_make_is_asked_for_is_there(path: Path) -> None:
    for line in re.findall(
        r"\bmake ((?:[a-z-]+ ?)+)(?=[`\n#;]| {2})", path.read_text(encoding="utf-8")
    ):
        assert set(line.split()) <= targets(), line


def test_updates_reach_every_manifest() -> None:
    updates = loaded(GITHUB / "dependabot.yml")
    assert updates["version"] == 2
    watched = {
        each["package-ecosystem"]: set(each.get("directories", [each.get("directory")]))
        for each in updates["updates"]
    }
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    locks = {
        f"/{Path(path).parent}"
        for path in tracked.stdout.split()
        if path.endswith("package-lock.json")
    }
    assert watched == {"github-actions": {"/"}, "pip": {"/", "/.ci"}, "npm": locks}


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_a_form_is_one(form: Path) -> None:
    """The keys are those of "Syntax for issue forms" and "Syntax for GitHub's form schema", GitHub
    Docs.
    """
    content = loaded(form)
    assert (
        {"name", "description", "body"}
        <= set(content)
        <= {"name", "description", "body", "labels", "title"}
    )
    asked = [each for each in content["body"] if each["type"] != "markdown"]
    assert len(asked) >= 3
    assert len({each["id"] for each in asked}) == len(asked)
    for each in content["body"]:
        assert set(each) <= {"type", "id", "attributes", "validations"}
        if each["type"] == "markdown":
            assert set(each["attributes"]) == {"value"}
            continue
        allowed = {"label", "description"} | {"dropdown": {"options"}, "textarea": {"render"}}.get(
            each["type"], set()
        )
        assert each["type"] in {"textarea", "input", "dropdown"}
        assert {"label"} <= set(each["attributes"]) <= allowed
        assert set(each.get("validations", {"required": True})) == {"required"}


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_what_a_text_points_to_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / link).exists(), link
    for name in re.findall(r"`((?:[\w.]+/)+[\w.]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def test_nothing_around_the_code_names_a_host() -> None:
    around = [*GITHUB.rglob("*.yml"), *TEXTS, ROOT / "Makefile"]
    assert [
        path.name for path in around if re.search(r"\bhttps?://", path.read_text(encoding="utf-8"))
    ] == []


def test_security_says_where_to_report() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "security advisories" in text.split("##")[0]
    assert "(SECURITY.md)" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_helpers_of_tests_lie_in_their_kit() -> None:
    beside = {path.name for path in (ROOT / "tests").glob("*.*")}
    assert {name for name in beside if not name.startswith("test_")} == {"conftest.py"}


def test_no_test_is_a_helper_of_another() -> None:
    told = re.compile(r"^\s*(?:from|import) tests\S*\.test_", re.MULTILINE)
    files = [*(ROOT / "tests").rglob("*.py")]
    assert len(files) > 100
    assert [path.name for path in files if told.search(path.read_text(encoding="utf-8"))] == []


def test_a_test_of_one_home_alone_says_why() -> None:
    """Beside the mark, or in the line above it."""
    marked = re.compile(r"^(.*)\n.*\bmark\.only_on\(.*\)(.*)$", re.MULTILINE)
    found = [
        (path.name, before.lstrip().startswith("# ") or " # " in after)
        for path in (ROOT / "tests").rglob("test_*.py")
        for before, after in marked.findall(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 30
    assert [name for name, is_told in found if not is_told] == []


def test_benchmarks_import_nothing_from_tests() -> None:
    files = [*(ROOT / "benchmarks").rglob("*.py")]
    told = re.compile(r"^\s*(?:from|import) tests\b", re.MULTILINE)
    assert len(files) > 10
    assert [path.name for path in files if told.search(path.read_text(encoding="utf-8"))] == []
