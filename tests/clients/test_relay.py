"""Relay's compiler on plain queries and `node`, and its store against a real local server."""

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from ai_coordination_engine.api.schema import SCHEMA
from tests.kit.node import installed, needs_node
from tests.readme.documents import snippet

HERE = Path(__file__).parent / "relay"

pytestmark = [pytest.mark.conformance, needs_node]


@pytest.fixture(scope="module")
def compiled() -> Iterator[Path]:
    """A folder with the compiled documents and an environment as the documentation sets it up."""
    packages = installed(HERE)
    work = Path(mkdtemp(dir=packages.parent))
    (work / "node_modules").symlink_to(packages / "node_modules")
    (work / "src").mkdir()
    shutil.copy(HERE / "package.json", work)
    shutil.copy(HERE / "screens.js", work / "src")
    shutil.copy(HERE / "relay.mjs", work)
    texts = {
        "schema.graphql": str(SCHEMA),
        "relay.config.json": snippet('{"src"'),
        "relay-client.mjs": snippet("// clients: relay"),
    }
    for name, text in texts.items():
        (work / name).write_text(text, encoding="utf-8")
    compiler = str(work / "node_modules/.bin/relay-compiler")
    done = subprocess.run([compiler], cwd=work, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield work
    shutil.rmtree(work)


def test_a_record_is_fetched_again_by_its_node(compiled: Path) -> None:
    made = compiled / "src/__generated__/screensSessionRefetchQuery.graphql.js"
    assert re.search(r"node\(id: \$id\)", made.read_text(encoding="utf-8"))


def test_the_store_has_one_entry_a_record_and_a_mutation_updates_them(
    url: str, compiled: Path, run: Callable[..., Any], session: str
) -> None:
    found = run(compiled, "relay.mjs", url, "c", session)
    assert found["node"] == {"__ref": found["id"]}
    assert all(is_own for _, is_own in found["keys"])
    kinds = Counter(kind for kind, _ in found["keys"])
    assert kinds == {
        "TaskType": 1,
        "SessionAgentType": 2,
        "SessionType": len(found["before"]),
    }
    # On the screen, without a refetch; the latest session comes first.
    assert (found["before"][0], found["seen"][-1][0]) == ("in_progress", "cancelled")
    assert found["seen"][-1][1:] == found["before"][1:]
    assert sorted(found["agents"]) == [["Ada", "completed"], ["Bob", "cancelled"]]
