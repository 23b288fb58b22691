"""Read the secrets that settings name from the files of a directory."""

import re
from pathlib import Path

from ai_coordination_engine.ports import SecretUnavailable

PREVIOUS = ".previous"  # the end of the name of the file with the value before the last rotation
_MOST_BYTES = 65_536  # "AWS Secrets Manager quotas"
# "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ace/openai-AbCdEf"
_ARN = re.compile(r"arn:[^:]*:secretsmanager:[^:]*:[^:]*:secret:(.+?)(-[A-Za-z0-9]{6})?")


class SecretFiles:
    """Implements `ports.Secrets` with one file for each secret: `ace/openai` in `folder`.

    The file is read each time, so a rotated secret is noticed at once. `folder` None: there are no
    secrets, and the error says what to set. Of an ARN the name in it counts. Thread-safe.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def value(self, name: str, *, previous: bool = False, max_age: float | None = None) -> str:
        """Return the text of the file without the end of its last line. `previous`: of the file
        `NAME.previous`. Raises `SecretUnavailable`.
        """
        if self._folder is None:
            raise _unavailable(
                f"the secret {name!r:.200} is not on this machine: set ACE_SECRETS_DIR to a"
                " directory with a file of this name, or give the key itself in the settings"
            )
        path = self._folder / (_file(name) + (PREVIOUS if previous else ""))
        try:
            with path.open("rb") as file:
                data = file.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no name of a file"
            raise _unavailable(f"the secret {name!r:.200} in ACE_SECRETS_DIR: {reason}") from error
        return _text(name, data)


def _file(name: str) -> str:
    """The path of a secret's file in the directory; raises `SecretUnavailable`."""
    found = _ARN.fullmatch(name)
    path = found[1] if found else name
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise _unavailable(f"the secret {name!r:.200} has a name that no file can have")
    return path


def _text(name: str, data: bytes) -> str:
    problem = ""
    try:
        text = data.decode().removesuffix("\n").removesuffix("\r")
        problem = "" if text else "is empty"
    except UnicodeDecodeError:
        text, problem = "", "is binary, not text"
    if len(data) > _MOST_BYTES:
        problem = f"has more than {_MOST_BYTES} bytes"
    if problem:
        raise _unavailable(f"the file of the secret {name!r:.200} in ACE_SECRETS_DIR {problem}")
    return text


def _unavailable(message: str) -> SecretUnavailable:
    return SecretUnavailable(message, retryable=False)
