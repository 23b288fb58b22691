"""Decide which tenant a caller may act for. Pure functions: no request, no record.

A tenant is `endpoint_id` or `endpoint_id#part_id`. Credentials carry *grants*: `acme` (only that
tenant), `acme#eu` (only that part), `acme#*` (the endpoint and all its parts). The Lambda handler
and the local server call it.
"""

import json
import re
from collections.abc import Mapping, Sequence

from ai_coordination_engine.errors import BadUserInput, Forbidden

LOCAL_ENDPOINT = "local"
MAX_LENGTH = 128
SEPARATOR = "#"
WILDCARD = "*"

_SESSION = re.compile(r"arn:([^:]+):sts::(\d+):assumed-role/([^/]+)/[^/\s]+")
_ROLE = re.compile(r"arn:([^:]+):iam::(\d+):role/(?:.+/)?([^/]+)")


def tenant_of(endpoint_id: str, part_id: str | None = None) -> str:
    """Return the tenant of an endpoint id and an optional part id; raises `BadUserInput`.

    Ids must not contain the separator, so that different pairs are different tenants.
    """
    _check_id("endpoint id", endpoint_id)
    if part_id is None:
        return endpoint_id
    _check_id("part id", part_id)
    return f"{endpoint_id}{SEPARATOR}{part_id}"


def local_tenant(endpoint_id: str | None, part_id: str | None) -> str:
    """Return the tenant on a developer's machine, without a check; the default endpoint
    is `local`.
    """
    return tenant_of(LOCAL_ENDPOINT if endpoint_id is None else endpoint_id, part_id)


def granted_tenant(grants: Sequence[str], endpoint_id: str | None, part_id: str | None) -> str:
    """Return the tenant that a request acts for, according to the grants of its credentials.

    A request without an endpoint gets the only tenant that the grants allow. Raises `Forbidden`
    when the tenant is not granted or the grants allow several, and `BadUserInput` for an id that is
    not valid.
    """
    grants = [grant for grant in grants if _is_well_formed(grant)]
    requested = _requested(grants, endpoint_id, part_id)
    endpoint = requested.partition(SEPARATOR)[0]
    if requested in grants or f"{endpoint}{SEPARATOR}{WILDCARD}" in grants:
        return requested
    raise Forbidden("the credentials do not allow this tenant")


def claimed_grants(claim: object) -> list[str]:
    """Return the grants in a token's claim; anything but the following forms grants nothing.

    The claim is a list, a JSON list as text, or text separated by spaces or commas. API Gateway's
    HTTP APIs flatten a list to `[a b]` (Amazon API Gateway developer guide, "JWT authorizers"), so
    a tenant in a textual claim cannot contain spaces or commas.
    """
    if isinstance(claim, str):
        claim = _claim_items(claim.strip())
    if not isinstance(claim, list):
        return []
    return [item for item in claim if isinstance(item, str) and item]


def principal_grants(principal_arn: str, iam_tenants: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the grants of an IAM principal; a session of an assumed role has those of the role,
    too.

    An entry for a session's ARN applies only to that session.
    """
    role = _parts(_SESSION, principal_arn) or _parts(_ROLE, principal_arn)
    return [
        grant
        for configured, grants in iam_tenants.items()
        if configured == principal_arn or (role is not None and _parts(_ROLE, configured) == role)
        for grant in grants
    ]


def _check_id(what: str, value: object) -> None:
    if not isinstance(value, str) or not value or len(value) > MAX_LENGTH:
        raise BadUserInput(f"the {what} must have 1 to {MAX_LENGTH} characters")
    is_plain = value.isprintable() and " " not in value
    if not is_plain or SEPARATOR in value or value == WILDCARD:
        raise BadUserInput(
            f"the {what} must be printable text without spaces or '{SEPARATOR}', and not"
            f" '{WILDCARD}'"
        )


def _is_well_formed(grant: str) -> bool:
    """Whether the grant names a tenant or all parts of an endpoint; others (`a#b#c`) are
    ignored.
    """
    endpoint_id, separator, part_id = grant.partition(SEPARATOR)
    try:
        tenant_of(endpoint_id, part_id if separator and part_id != WILDCARD else None)
    except BadUserInput:
        return False
    return True


def _requested(grants: Sequence[str], endpoint_id: str | None, part_id: str | None) -> str:
    if endpoint_id is not None:
        return tenant_of(endpoint_id, part_id)
    if part_id is None:
        choices = {grant for grant in grants if not grant.endswith(SEPARATOR + WILDCARD)}
    else:
        choices = {tenant_of(grant.partition(SEPARATOR)[0], part_id) for grant in grants}
    if len(choices) != 1:
        raise Forbidden("name the tenant in the path: the credentials allow none or more than one")
    return choices.pop()


def _claim_items(text: str) -> object:
    if text.startswith("[") and text.endswith("]"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            text = text[1:-1]
    return re.split(r"[\s,]+", text)


def _parts(pattern: re.Pattern[str], arn: str) -> tuple[str, ...] | None:
    """Return partition, account and name of a role.

    The ARN of a session does not have the role's path; role names are unique without it.
    """
    match = pattern.fullmatch(arn)
    return match.groups() if match else None
