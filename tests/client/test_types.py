"""The types of the client are those that its users need: mypy accepts `typed_use.py`, strictly."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_mypy_accepts_what_is_right_and_refuses_what_is_wrong() -> None:
    # `make lint` has filled its cache; an error that is not found is one of an unused comment.
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(HERE / "typed_use.py")],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "Success: no issues found in 1 source file\n"
