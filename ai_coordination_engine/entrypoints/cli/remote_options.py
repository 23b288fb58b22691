"""The options of commands that ask a server."""

import shlex
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ai_coordination_engine.data_classes import dataclass

DEFAULT_URL = "http://127.0.0.1:8000/graphql"


@Parameter(name="*")
@dataclass(frozen=True)
class Remote:
    """Which server is asked, for which tenant. The token is only in `ACE_TOKEN`."""

    url: Annotated[
        str | None,
        Parameter(help=f"Address of the API. Default: ACE_URL, or {DEFAULT_URL}."),
    ] = None
    data_dir: Annotated[
        Path | None,
        Parameter(help="Ask the server of this directory, whatever its address."),
    ] = None
    tenant: Annotated[
        str | None,
        Parameter(help="The endpoint id, or endpointId#partId. Default: ACE_TENANT."),
    ] = None

    def command(self, *words: str) -> str:
        """A command of `ace` for people, which asks the same server."""
        given = (("--url", self.url), ("--data-dir", self.data_dir), ("--tenant", self.tenant))
        options = [each for name, value in given if value is not None for each in (name, value)]
        return shlex.join(["ace", *words, *map(str, options)])
