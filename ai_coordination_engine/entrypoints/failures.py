"""What a command says when it fails, and its exit code."""

from collections.abc import Iterator
from typing import Any

# Imports inside functions are about the start of `ace`.
# ruff: noqa: PLC0415

FAILED, WRONG = 1, 2

_ACCOUNT = {  # what botocore raises when it does not know which account is meant
    "NoRegionError": "No AWS region is set: set AWS_REGION, or region in the profile that AWS_PROFILE names.",
    "NoCredentialsError": "No AWS credentials are found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the others.",
    "ProfileNotFound": "AWS_PROFILE names no profile of your AWS configuration.",
}

# Errors whose message says all; their modules load too much to be imported for this.
_WRITTEN_FOR_PEOPLE = {"WrongSetting": WRONG, "ExampleError": WRONG, "StartError": FAILED, "ApiError": FAILED}


class Failure(Exception):
    """Ends the command with one clear line and an exit code."""

    def __init__(self, message: str, code: int = WRONG) -> None:
        super().__init__(message)
        self.code = code


def missing_package(error: ModuleNotFoundError) -> str:
    """What to do about a package that is not installed: all that `ace` needs is the extra `local`."""
    package = (error.name or str(error)).partition(".")[0]
    return (
        f"the package {package!r} is not installed. "
        'Install what the command line needs: pip install "ai-coordination-engine[local]"'
    )


def explain(error: Exception) -> tuple[str, int]:
    """The one line (or, for a run file, the lines) that say what went wrong, and the exit code."""
    from cyclopts import CycloptsError
    from pydantic import ValidationError

    from ai_coordination_engine.errors import CoordinationError, Throttled

    if isinstance(error, ModuleNotFoundError):
        error = Failure(missing_package(error), FAILED)
    if isinstance(error, Failure):
        return f"ace: {error}", error.code
    if isinstance(error, CycloptsError):
        return f"ace: {error} (ace --help lists what there is.)", WRONG
    if isinstance(error, ValidationError):
        return "\n".join(f"ace: {line}" for line in _settings_problems(error)), WRONG
    if isinstance(error, Throttled):
        reason = f" ({' '.join(str(error.__cause__).split())})" if error.__cause__ else ""
        return f"ace: {error.message}{reason}", FAILED
    if isinstance(error, CoordinationError):
        return error.message, WRONG
    kind = type(error).__name__
    if kind in _ACCOUNT:
        return f"ace: {_ACCOUNT[kind]}", FAILED
    if kind in _WRITTEN_FOR_PEOPLE:
        return f"ace: {error}", _WRITTEN_FOR_PEOPLE[kind]
    return f"ace: {type(error).__name__}: {' '.join(str(error).split())}", FAILED


def _settings_problems(error: Any) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        setting, *within = map(str, problem["loc"])  # what is within is JSON, whose keys are as they are written
        name = ".".join([setting.upper(), *within])
        yield f"ACE_{name}: {problem['msg'].removeprefix('Value error, ')}"
