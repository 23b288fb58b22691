"""How a command ends that fails: one clear line and an exit code. Needs nothing of the extra
`local`.
"""

FAILED, WRONG = 1, 2


class Failure(Exception):
    """Ends the command with one clear line and an exit code."""

    def __init__(self, message: str, code: int = WRONG) -> None:
        super().__init__(message)
        self.code = code


def missing_package(error: ModuleNotFoundError) -> str:
    """What to do about a package that is not installed: all that `ace` needs is the extra
    `local`.
    """
    package = (error.name or str(error)).partition(".")[0]
    return (
        f"the package {package!r} is not installed. "
        'Install what the command line needs: pip install "ai-coordination-engine[local]"'
    )
