"""The configuration of the AWS clients."""

from botocore.config import Config

from ai_coordination_engine.backend import CONNECT_SECONDS, MAX_CONNECTIONS, READ_SECONDS, TRIES


def client_config(*, read_seconds: float = READ_SECONDS) -> Config:
    """Return the configuration of a client whose calls end, retries included, within an API
    request.

    An API request has 25 seconds.
    """
    return Config(
        max_pool_connections=MAX_CONNECTIONS,
        connect_timeout=CONNECT_SECONDS,
        read_timeout=read_seconds,
        retries={"mode": "standard", "total_max_attempts": TRIES},
    )
