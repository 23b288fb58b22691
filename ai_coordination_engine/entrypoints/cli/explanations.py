"""Convert an exception to the message and the exit code of `ace`."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from cyclopts import CycloptsError
from pydantic import ValidationError

from ai_coordination_engine.domain.texts import did_you_mean
from ai_coordination_engine.entrypoints.cli.failures import (
    FAILED,
    INVALID,
    Failure,
    missing_package,
)
from ai_coordination_engine.errors import CoordinationError, FileUnusable, Throttled
from ai_coordination_engine.settings import Settings

_ACCOUNT = {  # botocore's exceptions when no account is configured
    "NoRegionError": (
        "No AWS region is set: set AWS_REGION, or region in the profile that AWS_PROFILE names."
    ),
    "NoCredentialsError": (
        "No AWS credentials are found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the others."
    ),
    "ProfileNotFound": "AWS_PROFILE names a profile that your AWS configuration does not have.",
}

# Errors whose message suffices, by class name: importing their modules takes too long.
_CODES_BY_NAME = {
    "InvalidSetting": INVALID,
    "WrongInput": INVALID,
    "ExampleError": INVALID,
    "StartError": FAILED,
}
_API_ERROR, _WRONG_INPUT = "ApiError", ("BadUserInput", "NotFound")


def explain(error: Exception) -> tuple[str, int]:
    """Return the message (one line, or for a run file one line per problem) and the exit code."""
    match error:
        case ModuleNotFoundError():
            return f"ace: {missing_package(error)}", FAILED
        case Failure():
            return f"ace: {error}", error.code
        case CycloptsError():
            return f"ace: {error} (See ace --help.)", INVALID
        case ValidationError():
            return "\n".join(f"ace: {line}" for line in _settings_problems(error)), INVALID
        case Throttled():
            reason = f" ({' '.join(str(error.__cause__).split())})" if error.__cause__ else ""
            return f"ace: {error.message}{reason}", FAILED
        case FileUnusable():
            return f"ace: {error.message}", FAILED
        case CoordinationError():
            return error.message, INVALID
        case _:
            return _explain_by_name(error)


def _explain_by_name(error: Exception) -> tuple[str, int]:
    kind = type(error).__name__
    if _API_ERROR in (each.__name__ for each in type(error).__mro__):
        return f"ace: {error}", INVALID if kind in _WRONG_INPUT else FAILED
    if kind in _ACCOUNT:
        return f"ace: {_ACCOUNT[kind]}", FAILED
    if kind in _CODES_BY_NAME:
        return f"ace: {error}", _CODES_BY_NAME[kind]
    return f"ace: {kind}: {' '.join(str(error).split())}", FAILED


def _settings_problems(error: ValidationError) -> Iterator[str]:
    # Imported here because only a command with wrong settings needs it.
    from ai_coordination_engine.domain.shapes import message_of, path_of  # noqa: PLC0415

    for problem in error.errors(include_url=False, include_input=False):
        setting, *within = problem["loc"]
        # keys inside a structured value are shown as written
        place = path_of(f"ACE_{str(setting).upper()}", within)
        yield f"{place}: {message_of(problem)}{_meant(str(setting), problem)}"


def _meant(setting: str, problem: Mapping[str, Any]) -> str:
    """The end of a message about an unknown key: one that is known and resembles it, or empty."""
    if problem["type"] != "extra_forbidden":
        return ""
    (*_, shape) = get_args(Settings.model_fields[setting].annotation)
    known = [each.alias or name for name, each in shape.model_fields.items()]
    return did_you_mean(str(problem["loc"][-1]), known)
