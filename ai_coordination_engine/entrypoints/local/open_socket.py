"""The socket of a connection, as a forked child has it."""

import os
from typing import Any


class OpenSocket:
    """The copy of a socket in a forked child. Closing it leaves the connection of the parent, and
    the event loop that both share, as they are.
    """

    def __init__(self, socket: Any) -> None:
        self._socket = socket

    def close(self) -> None:
        """Close the child's copy, unless the connection has ended."""
        if self._socket is not None and (number := self._socket.fileno()) >= 0:
            os.close(number)
