"""The answer "not now"."""


class Busy(Exception):
    """The message must be kept and tried again after `retry_after` seconds: somebody else holds the
    lease.
    """

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"try again in {retry_after:.1f} s")
        self.retry_after = retry_after
