"""Fixtures for all tests: made-up credentials, and applications on an AWS in memory."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from threading import RLock
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from moto.dynamodb.responses import DynamoHandler

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import Api, Calls, Worker
from tests.kit import cheap_clients, crashes, written
from tests.kit.dynamodb_local import dynamodb_local, emulated, store
from tests.kit.homes import app, app_home, aws, pytest_generate_tests, shared_app
from tests.kit.moto_server import moto_server
from tests.kit.together import pytest_collection_modifyitems, pytest_xdist_make_scheduler

__all__ = [
    "app",
    "app_home",
    "aws",
    "dynamodb_local",
    "emulated",
    "moto_server",
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "pytest_xdist_make_scheduler",
    "shared_app",
    "store",
]

cheap_clients.share()

# The suite draws the same examples each time, and a busy machine fails none of them.
# `pytest --hypothesis-profile explore` draws others.
for _name, _is_same in (("explore", False), ("suite", True)):
    hypothesis.settings.register_profile(
        _name,
        derandomize=_is_same,
        database=None,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
hypothesis.settings.load_profile("suite")

_perform, _one_at_a_time = DynamoHandler.call_action, RLock()


def _atomically(self: DynamoHandler) -> Any:
    """Make moto's operations atomic among threads, as those of DynamoDB are."""
    with _one_at_a_time:
        return _perform(self)


DynamoHandler.call_action = _atomically
written.record()


def pytest_collection_finish() -> None:
    """Keep Python from looking through twelve thousand tests for garbage, again and again."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape lone surrogates in logs, which cannot be sent to the reporting process."""
    report = yield
    report.sections = [
        (name, text.encode(errors="replace").decode()) for name, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test from AWS accounts: made-up credentials, a fixed region, no inherited
    endpoint.
    """
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    for name in (
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def settings() -> Settings:
    """The settings of a developer's machine; a module can override this fixture."""
    return Settings(auth="local", agent_timeout_seconds=30)


@pytest.fixture
def tenant() -> str:
    """A tenant that no other test uses."""
    return f"tenant-{uuid4()}"


@pytest.fixture
def api(app: App) -> Iterator[Api]:
    """A GraphQL client of the application for the tenant `acme`."""
    with asyncio.Runner() as runner:
        yield Api(app, runner)


@pytest.fixture
def worker(app: App) -> Worker:
    """A worker that empties the queue."""
    return Worker(app)


@pytest.fixture
def calls(app: App) -> Calls:
    """A counter of the application's AWS calls from here on."""
    return Calls(app)


@pytest.fixture(autouse=True)
def _crash_points(record_property: Callable[[str, object], None]) -> Iterator[None]:
    """Add the number of crash points of the test to its report, also from another process."""
    before, again, histories = crashes.deaths[0], crashes.repeats[0], crashes.histories[0]
    written.written.clear()
    yield
    if written.written:
        record_property("written", sorted(written.written))
    if told := crashes.histories[0] - histories:
        record_property("histories", told)
    if tried := crashes.deaths[0] - before:
        record_property("crash points", tried)
    if repeated := crashes.repeats[0] - again:
        record_property("executed again", repeated)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the crash points and the random histories of all tests, and which transitions nobody
    died beside.
    """
    ended = [each for reports in terminalreporter.stats.values() for each in reports]
    total: Counter[str] = Counter()
    for report in ended:
        for name, value in _properties(report):
            total[name] += value if isinstance(value, int) else 0
    if total["crash points"]:
        terminalreporter.write_line(f"crash points tried: {total['crash points']}")
        terminalreporter.write_line(
            f"attempts executed again after their run said completed: {total['executed again']}"
        )
    for line in written.wrong(_written(terminalreporter)) if _is_whole(config) else ():
        terminalreporter.write_line(line, red=True)
    if total["histories"]:
        terminalreporter.write_line(f"random histories tried: {total['histories']}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if the whole suite has not written what it must while workers died."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter and _is_whole(session.config) and written.wrong(_written(reporter)):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def _is_whole(config: pytest.Config) -> bool:
    """Whether this process reports on the whole suite."""
    options = config.option
    is_some = options.keyword or options.markexpr or options.collectonly
    is_all = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not is_some
    return is_all and not hasattr(config, "workerinput")


def _written(reporter: Any) -> set[str]:
    ended = [each for reports in reporter.stats.values() for each in reports]
    found = [value for each in ended for name, value in _properties(each) if name == "written"]
    return {each for values in found for each in values}


def _properties(report: Any) -> list[tuple[str, Any]]:
    """Return the values that a test recorded with its report, each once."""
    return (
        report.user_properties
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        else []
    )
