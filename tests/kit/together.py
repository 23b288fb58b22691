"""Which tests one process of a run in several must have: those that share what is costly to set up,
or what there is once on a machine.

The mark `xdist_group` would say it beside the tests, but pytest-xdist 3.8 loses it with pytest 9.2
(pytest-dev/pytest-xdist#1386), and nothing fails.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

TOGETHER = {
    "tests/deployment/test_deployment.py": "the emulator and its stacks",
    "tests/examples/test_examples.py": "the environments of the examples",
    "tests/install/test_installed.py": "the installed wheel",
    "tests/kit/test_memory.py::test_random_operations": "DynamoDB Local",
    "[dynamodb_local": "DynamoDB Local",
    "tests/model/": "the model",
}


def scope(nodeid: str) -> str:
    """What a test shares with others, by a part of its id; else the test alone."""
    return next((shared for part, shared in TOGETHER.items() if part in nodeid), nodeid)


class Together(LoadScopeScheduling):
    """Hands out one test at a time, but what belongs together to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Together:
    """The hook of pytest-xdist that chooses who hands out tests."""
    return Together(config, log)
