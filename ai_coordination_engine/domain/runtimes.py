"""The kinds of agent runtimes, each with the keys that it reads. Pure.

To add a kind, declare a `KindSpec` here and write the module `adapters.runtimes.<kind>`, which is
imported when its first agent runs.
"""

from collections.abc import Iterator, Mapping

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.texts import did_you_mean, words_of

MODEL_PARAMETERS = (
    "temperature",
    "top_p",
    "max_tokens",
    "max_completion_tokens",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "response_format",
    # OpenAI API reference, "Create chat completion", beside the first ten
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "metadata",
    "modalities",
    "prediction",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    "verbosity",
    "web_search_options",
    # vLLM, Ollama, llama.cpp and OpenRouter
    "top_k",
    "min_p",
    "top_a",
    "typical_p",
    "min_tokens",
    "ignore_eos",
    "repetition_penalty",
    "repeat_penalty",
    "length_penalty",
    "stop_token_ids",
    "skip_special_tokens",
    "include_stop_str_in_output",
    "chat_template_kwargs",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "grammar",
    "json_schema",
    "mirostat",
    "mirostat_tau",
    "mirostat_eta",
    "cache_prompt",
    "keep_alive",
    "num_ctx",
    "num_predict",
    "options",
    "think",
    "thinking",
    "reasoning",
    "priority",
    "provider",
    "transforms",
)
"""The parameters of a chat completion that a record may set; they are sent unchanged."""


AGENT_KEYS = (
    "model",
    "endpoint",
    "instructions",
    "tools",
    "output_schema",
    "output_mode",
    "max_requests",
    "max_tool_calls",
    "max_total_tokens",
    "temperature",
    "top_p",
    "max_tokens",
    "seed",
    "presence_penalty",
    "frequency_penalty",
)
"""The keys of an agent that calls tools."""


MODEL_KINDS = frozenset({"agent", "bedrock", "openai"})
"""The kinds whose usage is that of a model; a span shows what it was asked."""


@dataclass(frozen=True)
class KindSpec:
    """A kind of runtime.

    `setting`: the setting with the functions, URLs or endpoints that agents may use. `reads`: the
    keys that it reads beside `kind`. `passes_on`: all other keys go to the agent. `wants_thread`:
    it gets the earlier turns of its thread, which costs a read. `whole_input`: the input repeats
    what is in the thread, because the agent may ignore the thread. `needs`: the extra of this
    package that it needs; empty for none. On AWS a worker of its own has that extra. `module`: the
    name of its module, if that is not the kind. `cancels`: its long jobs are cancelled when their
    results are no longer wanted. `asks_model`: each attempt uses tokens, which budgets reserve.
    """

    setting: str
    reads: tuple[str, ...]
    passes_on: bool = False
    wants_thread: bool = True
    whole_input: bool = False
    needs: str = ""
    module: str = ""
    cancels: bool = False
    asks_model: bool = False


KINDS: Mapping[str, KindSpec] = {
    "function": KindSpec(
        "ACE_FUNCTIONS", ("name", "instructions"), passes_on=True, wants_thread=False
    ),
    "http": KindSpec(
        "ACE_HTTP_ALLOWED_URLS", ("url", "instructions", "max_tokens"), whole_input=True
    ),
    "openai": KindSpec(
        "ACE_OPENAI_ENDPOINTS",
        ("endpoint", "model", "instructions", *MODEL_PARAMETERS),
        asks_model=True,
    ),
    "bedrock": KindSpec(
        "ACE_BEDROCK_MODELS",
        (
            "model",
            "instructions",
            "max_tokens",
            "temperature",
            "top_p",
            "stop",
            "additional_model_request_fields",
        ),
        asks_model=True,
    ),
    "lambda": KindSpec(
        "ACE_LAMBDA_FUNCTIONS",
        ("function", "long_job", "instructions", "max_tokens"),
        whole_input=True,
        module="lambda_function",  # `lambda` is a word of Python
    ),
    "agentcore": KindSpec(
        "ACE_AGENTCORE_RUNTIMES", ("agent", "instructions", "max_tokens"), whole_input=True
    ),
    "agent": KindSpec("ACE_AGENT_MODELS", AGENT_KEYS, needs="agents", asks_model=True),
    "a2a": KindSpec(
        "ACE_A2A_AGENTS", ("agent", "skill", "instructions"), wants_thread=False, cancels=True
    ),
}


_OF_BUDGETS = ("max_tokens", "model")  # what `domain.budgets` reads of every kind
_WHY = {
    "stream": "; answers are read as a whole.",
    "n": "; one answer is read.",
    "tools": '; agents of the kind "agent" call tools.',
    "headers": "; nothing but the attempt is sent.",
}


def check_kind(kind: str) -> str:
    """Return `kind` if it is known; else raise `ValueError` that lists the known kinds."""
    if kind not in KINDS:
        *some, last = [repr(each) for each in KINDS]
        hint = did_you_mean(kind, KINDS)
        raise ValueError(f"must be {', '.join(some)} or {last}{hint}")
    return kind


def needs_of(kind: object) -> str:
    """The extra that agents of this kind need; empty for none."""
    return KINDS[kind].needs if isinstance(kind, str) and kind in KINDS else ""


def input_is_whole(kind: str) -> bool:
    """Whether the input of an agent of this kind repeats what is in its thread."""
    return kind in KINDS and KINDS[kind].whole_input


def cancels(kind: str) -> bool:
    """Whether long jobs of agents of this kind can be cancelled."""
    return kind in KINDS and KINDS[kind].cancels


def idle_settings(place: str, runtime: Mapping[str, object]) -> Iterator[str]:
    """A warning for each key of a stored runtime that has no effect; `place` is its path."""
    kind = KINDS.get(str(runtime.get("kind")))
    if kind is None:
        return
    if kind.passes_on:
        if "model" in runtime:
            yield (
                f'{place}: the key "model" asks no model: it goes to the function. Models are the'
                ' kind "openai".'
            )
        return
    for key in runtime:
        if key != "kind" and key not in kind.reads:
            yield f'{place}: the key "{key[:100]}" {_why_idle(key, runtime["kind"], kind)}'


def _why_idle(key: str, name: object, kind: KindSpec) -> str:
    if key in _OF_BUDGETS and not kind.asks_model:
        return f'of the kind "{name}" counts for budgets alone.'
    hint = _WHY.get(key) or did_you_mean("_".join(words_of(key[:100])), kind.reads) or "."
    return f'is not read by the kind "{name}", and kept without effect{hint}'
