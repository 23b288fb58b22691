"""The models that agents ask: of a provider, of an endpoint, or an operator's own."""

import pkgutil
import re
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from pydantic_ai.exceptions import UserError
from pydantic_ai.models import Model, infer_model
from pydantic_ai.providers import Provider, infer_provider, infer_provider_class

from ai_coordination_engine.adapters.allowed import reason_of
from ai_coordination_engine.adapters.runtimes.agent import pattern_of
from ai_coordination_engine.adapters.runtimes.keys import read_key
from ai_coordination_engine.adapters.runtimes.openai import limit_of
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.runtime_settings import AgentModel, OpenAIEndpoint
from ai_coordination_engine.settings import Settings

_VARIABLE = re.compile("`([A-Z_]+)` environment variable")  # that the library misses


@dataclass(frozen=True)
class Asked:
    """A model, by whom it is provided, and the key that no message may show."""

    model: Model
    service: str
    provider: str | None
    key: str


class Models:
    """Makes models and keeps them, with their connections, as long as their keys are the same.
    Thread-safe.
    """

    def __init__(self, settings: Settings, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._lock = threading.Lock()
        self._made: dict[tuple[str | None, str], tuple[str, Model]] = {}

    def find(self, runtime: Mapping[str, Any]) -> Asked:
        """The model that a record names; raises `AgentFailure`."""
        name = runtime.get("endpoint")
        if name is None:
            model = str(runtime["model"])
            pattern = pattern_of(model, self._settings)
            assert pattern is not None
            setting = self._settings.agent_models[pattern]
            service = f"the model {model!r}"
            key = self._key(setting.api_key, setting.api_key_secret, service)
            return Asked(
                self._kept(None, model, key, partial(_named, model, setting, key)),
                service,
                None,
                key,
            )
        endpoint = self._settings.openai_endpoints[name]
        model, service = str(runtime.get("model") or endpoint.model), f"the model endpoint {name!r}"
        key = self._key(endpoint.api_key, endpoint.api_key_secret, service)
        provider = endpoint.provider or urlsplit(endpoint.base_url).hostname
        make = partial(_at_endpoint, model, endpoint, key)
        return Asked(self._kept(name, model, key, make), service, provider, key)

    async def close(self) -> None:
        """Close the connections; they are opened again when they are needed."""
        for _, model in self._made.values():
            async with model:
                pass

    def _kept(self, endpoint: str | None, model: str, key: str, make: Any) -> Model:
        with self._lock:
            known = self._made.get((endpoint, model))
            if known is None or known[0] != key:
                known = self._made[endpoint, model] = key, make()
            return known[1]

    def _key(self, given: SecretStr | None, secret: str | None, service: str) -> str:
        key = given.get_secret_value() if given else ""
        if not key and secret:
            key = read_key(partial(self._secrets.value, secret), f"the key of {service}")
        return key.strip()


def _at_endpoint(model: str, endpoint: OpenAIEndpoint, key: str) -> Model:
    from pydantic_ai.models.openai import OpenAIChatModel  # noqa: PLC0415 (0.3 s)
    from pydantic_ai.profiles.openai import OpenAIModelProfile  # noqa: PLC0415
    from pydantic_ai.providers.openai import OpenAIProvider  # noqa: PLC0415

    url = endpoint.base_url.removesuffix("/chat/completions")
    provider = OpenAIProvider(base_url=url, api_key=key or "none")
    is_new = limit_of(endpoint) == "max_completion_tokens"
    profile = OpenAIModelProfile(openai_chat_supports_max_completion_tokens=is_new)
    return OpenAIChatModel(model, provider=provider, profile=profile)


def _named(model: str, setting: AgentModel, key: str) -> Model:
    if setting.factory is not None:
        return _own(setting.factory)
    try:
        return infer_model(model, partial(_provider, key) if key else infer_provider)
    except (UserError, ValueError, ImportError, TypeError) as error:
        wrong = f"cannot be used: {error}"
        if variable := _VARIABLE.search(str(error)):
            wrong = (
                "has no key: set `api_key_secret` in ACE_AGENT_MODELS, or"
                f" {variable[1]} in the environment of the workers"
            )
        message = f"the model {model!r:.200} {wrong}"
        raise AgentFailure(message, error_class="not_allowed") from error


def _provider(key: str, name: str) -> Provider[Any]:
    make: Any = infer_provider_class(name)
    provider: Provider[Any] = make(api_key=key)
    return provider


def _own(factory: str) -> Model:
    try:
        found = pkgutil.resolve_name(factory)
        model = found if isinstance(found, Model) else found()
    except BaseException as error:  # an import may raise anything
        raise AgentFailure(
            f"the model {factory!r} failed: {reason_of(error)}", error_class="not_allowed"
        ) from error
    if not isinstance(model, Model):
        message = f"the model {factory!r} is no model of pydantic-ai"
        raise AgentFailure(message, error_class="not_allowed")
    return model
