"""The settings of a local process: who may call it, its model, its functions and its log."""

import logging
import os

from pydantic import SecretStr, ValidationError

from ai_coordination_engine import assembly
from ai_coordination_engine.entrypoints.cli.output import VisibleLines, VisibleLog
from ai_coordination_engine.entrypoints.local.home import WrongInput
from ai_coordination_engine.entrypoints.local.readable_log import ReadableLines, untold
from ai_coordination_engine.observability import SERVICE, configure, logger
from ai_coordination_engine.ports import AllowList
from ai_coordination_engine.runtime_settings import OpenAIEndpoint
from ai_coordination_engine.settings import Settings


class InvalidSetting(WrongInput):
    """A setting is not valid."""


def local_settings(settings: Settings) -> tuple[Settings, str | None, AllowList]:
    """Return the settings of a local process, the endpoint of its model if it has one, and what
    agents may use. Raises `InvalidSetting`.
    """
    settings, model = with_model(
        settings.model_copy(update={"auth": "local"})
    )  # safe because only this machine can reach the server
    allow_list = assembly.allow_list(settings)
    if problems := list(allow_list.problems()):
        raise InvalidSetting("\nace: ".join(problems))
    return settings, model, allow_list


def with_model(settings: Settings) -> tuple[Settings, str | None]:
    """Make a configured model the default runtime; return the settings and its endpoint's name.

    The model is the first of `ACE_OPENAI_ENDPOINTS`, or that of `OPENAI_API_KEY`, `OPENAI_BASE_URL`
    and `OPENAI_MODEL`. The settings are unchanged, and the name is None, when there is no model or
    `ACE_DEFAULT_RUNTIME` is set.
    """
    endpoints = settings.openai_endpoints or _endpoint_of_the_environment()
    if not endpoints:
        return settings, None
    settings = settings.model_copy(update={"openai_endpoints": endpoints})
    if "default_runtime" in settings.model_fields_set:
        return settings, None
    name = next(iter(endpoints))
    return (
        settings.model_copy(update={"default_runtime": {"kind": "openai", "endpoint": name}}),
        name,
    )


def _endpoint_of_the_environment() -> dict[str, OpenAIEndpoint]:
    key, base_url = os.environ.get("OPENAI_API_KEY"), os.environ.get("OPENAI_BASE_URL")
    if not key and not base_url:
        return {}
    try:
        endpoint = OpenAIEndpoint(
            base_url=base_url or "https://api.openai.com/v1",
            api_key=SecretStr(key) if key else None,
            model=os.environ.get("OPENAI_MODEL", "gpt-4o-mini"),
        )
    except ValidationError as error:
        reason = error.errors(include_url=False, include_input=False)[0]["msg"].removeprefix(
            "Value error, "
        )
        raise InvalidSetting(f"OPENAI_BASE_URL: {reason}") from error
    return {"default": endpoint}


def log_to_stderr(settings: Settings, *, is_readable: bool = False) -> None:
    """Write the log to stderr, since stdout is for results; show warnings unless a level is set.

    `is_readable`: as lines for people, without the attempts that a command tells itself; all
    lines are JSON if a level is set.
    """
    is_set = "log_level" in settings.model_fields_set
    configure(settings.log_level if is_set else "WARNING")
    for handler in logging.getLogger(SERVICE).handlers:
        if isinstance(handler, logging.StreamHandler):
            if is_readable and not is_set:
                handler.setStream(VisibleLines())
                handler.setFormatter(ReadableLines())
                handler.addFilter(untold)
            else:
                handler.setStream(VisibleLog())
                handler.setFormatter(logger.registered_formatter)
                handler.removeFilter(untold)
    uvicorn_log = logging.getLogger("uvicorn")
    uvicorn_log.handlers, uvicorn_log.propagate = list(logger.handlers), False
    uvicorn_log.setLevel(logging.WARNING)
