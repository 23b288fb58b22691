"""Keys and tokens of the webhook, derived from the operator's master key. Pure."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.ids import is_id

_SEPARATOR = "\x1f"  # not in any id, because ids are printable


def hex_digest(key: str, message: bytes) -> str:
    """The hexadecimal HMAC-SHA256 of a message."""
    return hmac.new(key.encode(), message, hashlib.sha256).hexdigest()


def tenant_key(master: str, tenant: str) -> str:
    """Return a tenant's key, derived from the master key; it reveals no other tenant's key."""
    return hex_digest(master, f"async-tasks/{tenant}".encode())


@dataclass(frozen=True, slots=True)
class JobOwner:
    """The session agent that waits for a long job, as the URL of its notices names it."""

    tenant: str
    session_uuid: str
    session_agent_uuid: str

    @property
    def handle(self) -> str:
        """The segment of a URL that stands for it: base64url without padding."""
        names = _SEPARATOR.join((self.tenant, self.session_uuid, self.session_agent_uuid))
        return urlsafe_b64encode(names.encode()).decode().rstrip("=")

    @classmethod
    def of(cls, handle: str) -> "JobOwner | None":
        """The owner that a handle stands for, or None."""
        try:
            names = urlsafe_b64decode(handle.encode() + b"==").decode().split(_SEPARATOR)
        except ValueError:
            return None
        return cls(*names) if len(names) == 3 and all(map(is_id, names)) else None

    def token(self, master: str) -> str:
        """The secret that a notice for this owner must carry."""
        return hex_digest(tenant_key(master, self.tenant), f"notices/{self.handle}".encode())
