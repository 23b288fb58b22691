import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.domain.runtimes import KINDS, KindSpec
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import Settings


class NoSecrets:
    def value(self, name: str) -> str:
        raise AssertionError(f"nothing should read {name}")


@pytest.fixture
def registry() -> RuntimeRegistry:
    return RuntimeRegistry(Settings(), NoSecrets())


@pytest.mark.parametrize("kind", ["function", "http", "openai", "bedrock", "lambda", "agentcore"])
def test_each_kind_has_one_runtime_however_many_threads_ask_first(
    registry: RuntimeRegistry, kind: str
) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(registry.find, [kind] * 32))
    assert {id(runtime) for runtime in found} == {id(registry.find(kind))}


@pytest.mark.parametrize("kind", ["sagemaker", "", "__class__", None, ["function"], {}])
def test_an_unknown_kind_is_a_final_failure_that_names_the_known_ones(
    registry: RuntimeRegistry, kind: object
) -> None:
    with pytest.raises(AgentFailure) as failure:
        registry.find(kind)  # type: ignore[arg-type]  # a record may hold anything
    assert (
        failure.value.message
        == f"the runtime kind {kind!r} is unknown; known kinds: {', '.join(KINDS)}"
    )
    assert (failure.value.error_class, failure.value.retryable) == ("not_allowed", False)
    assert not registry.wants_thread(kind)  # type: ignore[arg-type]


def test_a_kind_whose_extra_is_missing_says_where_to_get_it(
    registry: RuntimeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast(dict[str, KindSpec], KINDS), "tools", KindSpec("", (), needs="agents"))
    monkeypatch.setitem(sys.modules, "ai_coordination_engine.adapters.runtimes.tools", None)
    with pytest.raises(AgentFailure) as failure:
        registry.find("tools")
    assert failure.value.message == (
        "agents of the kind 'tools' need the extra 'agents', which is not installed here (import of"
        " ai_coordination_engine.adapters.runtimes.tools halted; None in sys.modules): pip install"
        " 'ai-coordination-engine[agents]', or on AWS the template's parameter AgentsImageUri"
    )
    assert (failure.value.error_class, failure.value.retryable) == ("not_allowed", False)


def test_a_thread_is_worth_reading_for_services_and_models_only(registry: RuntimeRegistry) -> None:
    assert {kind: registry.wants_thread(kind) for kind in ("function", "http", "openai")} == {
        "function": False,
        "http": True,
        "openai": True,
    }


def test_runtimes_load_only_where_they_run() -> None:
    program = """
import sys
from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.settings import Settings
registry = RuntimeRegistry(Settings(), None)
registry.wants_thread("openai")
prefix = "ai_coordination_engine.adapters.runtimes."
is_ours = lambda m: m.startswith(prefix) or m == "httpx"
loaded = lambda: sorted(m.removeprefix(prefix) for m in sys.modules if is_ours(m))
assert loaded() == [], loaded()
registry.find("function")
assert loaded() == ["answer", "builtin", "deadline", "function"], loaded()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
