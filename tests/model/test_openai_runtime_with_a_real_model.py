"""The `openai` runtime with a real model; tests check the structure of answers, not their
wording.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from ai_coordination_engine.adapters.runtimes import RuntimeRegistry
from ai_coordination_engine.runtime_ports import (
    AgentFailure,
    AgentRequest,
    AgentResult,
    Message,
    no_delta,
)
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from ai_coordination_engine.settings import Settings

pytestmark = pytest.mark.model

Ask = Callable[..., AgentResult]


class NoSecrets:
    def value(self, name: str) -> str:
        raise AssertionError(f"nothing should read {name}")


@pytest.fixture
def ask(model_url: str) -> Ask:
    """Run one attempt with these runtime keys, input and thread."""
    endpoint = OpenAIEndpoint(base_url=model_url, model="smollm2")
    registry = RuntimeRegistry(Settings(openai_endpoints={"default": endpoint}), NoSecrets())

    def run(
        text: str,
        *,
        thread: list[Message] | None = None,
        instructions: str = "",
        on_delta: Callable[[str], None] = no_delta,
        **runtime: Any,
    ) -> AgentResult:
        request = AgentRequest(
            tenant="acme",
            session_uuid="session-1",
            session_agent_uuid="session-agent-1",
            run_uuid="run-1",
            attempt=1,
            agent_uuid="agent-1",
            agent_name="Writer",
            runtime={"kind": "openai", "temperature": 0, **runtime},
            instructions=instructions,
            input=text,
            query=text,
            task_query=text,
            user_input=None,
            predecessors=(),
            input_files=(),
            thread_uuid="thread-1",
            thread=thread or (),
            timeout_seconds=600,
            on_delta=on_delta,
        )
        return registry.find("openai").run(request)

    return run


def assert_counted(usage: Mapping[str, Any]) -> None:
    assert usage["input_tokens"] > 0
    assert usage["output_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["model"] == "smollm2"


def test_a_model_answers_and_its_tokens_are_counted(ask: Ask) -> None:
    result = ask("Name a colour.", instructions="Answer in one short sentence.", max_tokens=200)
    assert result.output.strip()
    assert_counted(result.usage)


def test_an_answer_that_reaches_its_limit_is_marked(ask: Ask) -> None:
    result = ask("Tell a long story about the sea.", max_tokens=8)
    assert result.output.strip()
    assert_counted(result.usage)
    assert (result.usage["output_tokens"], result.usage["finish_reason"]) == (8, "length")


def test_the_thread_reaches_the_model(ask: Ask) -> None:
    thread = [Message("user", "My name is Ada."), Message("assistant", "Hello, Ada.")]
    alone = ask("What is my name?", max_tokens=8)
    after = ask("What is my name?", max_tokens=8, thread=thread)
    assert after.output.strip()
    assert_counted(after.usage)
    assert after.usage["input_tokens"] > alone.usage["input_tokens"]


def test_a_schema_shapes_the_answer(ask: Ask) -> None:
    schema = {
        "type": "object",
        "properties": {
            "colour": {"type": "string", "maxLength": 12},
            "count": {"type": "integer", "maximum": 9},
        },
        "required": ["colour", "count"],
        "additionalProperties": False,
    }
    shape = {
        "type": "json_schema",
        "json_schema": {"name": "fruit", "strict": True, "schema": schema},
    }
    result = ask("Describe three red apples as JSON.", response_format=shape, max_tokens=200)
    answered = json.loads(result.output)
    assert set(answered) == {"colour", "count"}
    assert (type(answered["colour"]), type(answered["count"])) == (str, int)
    assert_counted(result.usage)


def test_an_input_that_is_too_long_is_a_final_and_readable_failure(ask: Ask) -> None:
    with pytest.raises(AgentFailure) as failure:
        ask("word " * 6000)
    assert failure.value.message.startswith("the model endpoint 'default' answered 400: ")
    assert "context size" in failure.value.message
    assert not failure.value.retryable


def test_an_answer_streams_to_who_watches(ask: Ask) -> None:
    told: list[str] = []
    whole = ask("Count to five.", max_tokens=24)
    streamed = ask("Count to five.", max_tokens=24, on_delta=told.append)
    assert (streamed.output, streamed.usage) == (whole.output, whole.usage)
    assert "".join(told) == streamed.output
    assert len(told) > 3
