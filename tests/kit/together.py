"""Tests that must run in one process: those that share a costly set-up or a unique resource.

The mark `xdist_group` would do this beside the tests, but pytest-xdist 3.8 ignores it with pytest
9.2 (pytest-dev/pytest-xdist#1386), without an error.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

TOGETHER = {
    "tests/deployment/test_deployment.py": "the emulator and its stacks",
    "tests/examples/test_examples.py": "the environments of the examples",
    "tests/install/test_installed.py": "the installed wheel",
    "tests/kit/test_memory.py::test_random_operations": "DynamoDB Local",
    "dynamodb_local": "DynamoDB Local",
    "tests/model/": "the model",
    "tests/conformance/test_mcp_conformance.py": "the suite of MCP and its server",
    "tests/console/test_console.py": "the browser",
    "tests/clients/": "what npm installs",
    "tests/served/a2a/test_both_directions.py": "two servers",
}
LONG = (
    "tests/adapters/test_function_files.py",
    "tests/client/test_types.py",
    "tests/engine/advance/test_accounts.py",
    "tests/install/test_newer_releases.py",
    "tests/kit/test_memory.py",
    "tests/promises/",
    "tests/readme/test_snippets.py",
)
"""Where tests are that take seconds: they begin first, so that both processes end together."""


def scope(nodeid: str) -> str:
    """Return the name of what a test shares with others, by a part of its id, or else its
    own id.
    """
    return next((shared for part, shared in TOGETHER.items() if part in nodeid), nodeid)


class Together(LoadScopeScheduling):
    """Distributes tests one by one, except that tests of one scope go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Forget what is done: xdist counts all that a process was ever given, after each test."""
        super().mark_test_complete(node, item_index, duration)
        given, done = self.assigned_work[node], scope(self.registered_collections[node][item_index])
        if all(given[done].values()):
            del given[done]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long ones first, each part in the random order that it has."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """pytest-xdist's hook that chooses the scheduler."""
    return Together(config, log)
