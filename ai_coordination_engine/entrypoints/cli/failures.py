"""How a failing command ends: one line and an exit code. Imports nothing of the extra `local`."""

FAILED, INVALID = 1, 2


class Failure(Exception):
    """Ends the command with a message of one line and an exit code."""

    def __init__(self, message: str, code: int = INVALID) -> None:
        super().__init__(message)
        self.code = code


def missing_package(error: ModuleNotFoundError) -> str:
    """Return the message for a package that is not installed: the extra `local` is missing."""
    package = (error.name or str(error)).partition(".")[0]
    return (
        f"the package {package!r} is not installed. "
        'Install what the command line needs: pip install "ai-coordination-engine[local]"'
    )
