"""Derive a tenant's key for the reports of its long jobs; `ace webhook-key` calls it."""

from ai_coordination_engine.api.identity import SEPARATOR, tenant_of
from ai_coordination_engine.api.webhooks import master_keys
from ai_coordination_engine.assembly import secrets_of
from ai_coordination_engine.domain.webhooks import tenant_key
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.settings import Settings


def key_of(tenant: str, settings: Settings) -> str:
    """Return the key of the tenant `endpointId` or `endpointId#partId`.

    Raises `Failure` when the settings have no master key.
    """
    try:
        master = next(master_keys(settings, secrets_of(settings)), None)
    except Throttled as error:
        place = "ACE_SECRETS_DIR" if settings.secrets_dir else "AWS Secrets Manager"
        raise Failure(
            f"ACE_WEBHOOK_KEY_SECRET: the secret cannot be read from {place} ({error.__cause__})."
            " The secrets of one machine are in a directory: set ACE_SECRETS_DIR to the server's"
            " value. Those of AWS need its region and credentials.",
            FAILED,
        ) from error
    if master is None:
        raise Failure(
            "Set ACE_WEBHOOK_KEY or ACE_WEBHOOK_KEY_SECRET to the server's value; the tenant's key"
            " is derived from it."
        )
    endpoint_id, separator, part_id = tenant.partition(SEPARATOR)
    return tenant_key(master, tenant_of(endpoint_id, part_id if separator else None))
