"""What a kind of runtime reads, and what is told of the keys that it does not."""

from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.domain.runtimes import KINDS, idle_settings


def told(**runtime: Any) -> list[str]:
    return list(idle_settings("r", runtime))


def test_every_kind_has_its_module_and_a_section_of_the_documentation() -> None:
    root = Path(__file__).parents[2]
    told = "".join(page.read_text() for page in (root / "README.md", *(root / "docs").glob("*.md")))
    for kind, spec in KINDS.items():
        name = spec.module or kind
        assert (root / f"ai_coordination_engine/adapters/runtimes/{name}.py").exists()
        assert f"`{kind}`" in told


@pytest.mark.parametrize(
    ("runtime", "key", "end"),
    [
        (
            {"kind": "openai", "model": "m", "temprature": 1},
            "temprature",
            '; did you mean "temperature"?',
        ),
        ({"kind": "openai", "instrctions": "x"}, "instrctions", '; did you mean "instructions"?'),
        ({"kind": "openai", "topK": 5}, "topK", '; did you mean "top_k"?'),
        ({"kind": "openai", "stream": True}, "stream", "; answers are read as a whole."),
        ({"kind": "http", "url": "u", "hedaers": {}}, "hedaers", "."),
        ({"kind": "http", "url": "u", "seed": 5}, "seed", "."),
        ({"kind": "http", "url": "u", "x" * 150: 5}, "x" * 100, "."),
    ],
)
def test_a_key_that_its_kind_does_not_read_is_told(
    runtime: dict[str, Any], key: str, end: str
) -> None:
    assert told(**runtime) == [
        f'r: the key "{key}" is not read by the kind "{runtime["kind"]}", and kept without'
        f" effect{end}"
    ]


@pytest.mark.parametrize(
    "runtime",
    [
        {
            "kind": "openai",
            "endpoint": "e",
            "model": "m",
            "instructions": "i",
            "top_p": 1,
            "seed": 1,
            "stop": ["x"],
        },
        {
            "kind": "openai",
            "top_k": 5,
            "min_p": 0.1,
            "logit_bias": {},
            "repetition_penalty": 1.1,
            "num_ctx": 4096,
        },
        {"kind": "http", "url": "u", "instructions": "i", "max_tokens": 5},
        {"kind": "lambda", "function": "f", "max_tokens": 5},
        {"kind": "agentcore", "agent": "a", "max_tokens": 5},
        # a function is handed all of them
        {"kind": "function", "name": "mine", "marks": 3, "temprature": 1},
        {},
    ],
)
def test_what_is_read_or_handed_on_is_not_told(runtime: dict[str, Any]) -> None:
    assert told(**runtime) == []


@pytest.mark.parametrize(
    ("kind", "key"), [("http", "model"), ("a2a", "model"), ("a2a", "max_tokens")]
)
def test_a_key_that_only_budgets_read_is_told(kind: str, key: str) -> None:
    assert told(kind=kind, **{key: 5}) == [
        f'r: the key "{key}" of the kind "{kind}" counts for budgets alone.'
    ]


def test_a_model_of_a_function_is_told() -> None:
    assert told(kind="function", name="echo", model="m") == [
        'r: the key "model" asks no model: it goes to the function. Models are the kind "openai".'
    ]
