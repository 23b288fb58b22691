"""The installed command `ace`; it says what to install when a package is missing."""

import signal
import sys
from typing import NoReturn

from ai_coordination_engine.entrypoints.cli.failures import FAILED, missing_package
from ai_coordination_engine.entrypoints.cold_start import without_collections


def main() -> NoReturn:
    """Run the command line and exit with its code; exit with 1 when a package is missing."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until `cli.main`, an interrupt ends it silently
    try:
        # Imported here because it needs packages of the extra `local`.
        with without_collections():
            from ai_coordination_engine.entrypoints.cli import cli  # noqa: PLC0415
    except ModuleNotFoundError as error:
        sys.stderr.write(f"ace: {missing_package(error)}\n")
        sys.exit(FAILED)
    cli.main()
