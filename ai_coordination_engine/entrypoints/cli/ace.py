"""The command `ace` as it is installed: the command line, or a line that says what to install for
it.
"""

import sys
from typing import NoReturn

from ai_coordination_engine.entrypoints.cli.failures import FAILED, missing_package


def main() -> NoReturn:
    """Run the command line and exit with its code; 1 when a package of the extra `local` is
    missing.
    """
    try:
        # - it needs that extra
        from ai_coordination_engine.entrypoints.cli import cli  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.stderr.write(f"ace: {missing_package(error)}\n")
        sys.exit(FAILED)
    cli.main()
