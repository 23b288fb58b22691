"""Media types: of GraphQL responses, and what a client accepts (RFC 9110, "Accept")."""

from collections.abc import Mapping

JSON = "application/json"
EVENTS = "text/event-stream"
GRAPHQL_JSON = "application/graphql-response+json"


def negotiated(accept: str) -> str | None:
    """Return the better of the two media types for an Accept header, or `None` if it accepts
    neither.

    `application/json` is preferred unless the client names the other. The most specific range of a
    type counts; among equal weights, the first (RFC 9110, "Accept").
    """
    if not accept.strip():
        return JSON
    ranges = [media_type_of(entry) for entry in accept.split(",")]
    choices = []
    for media_type in (JSON, GRAPHQL_JSON):
        matching = [
            (accepted != "*/*", accepted == media_type, -place, _weight(options))
            for place, (accepted, options) in enumerate(ranges)
            if accepted in (media_type, "application/*", "*/*")
        ]
        if matching:
            *_, place, weight = max(matching)
            choices.append((weight, place, media_type == JSON, media_type))
    return max(choices)[-1] if choices and max(choices)[0] > 0 else None


def accepts(accept: str, media_type: str) -> bool:
    """Whether an Accept header names this media type itself."""
    ranges = [media_type_of(entry) for entry in accept.split(",")]
    return any(named == media_type and _weight(options) > 0 for named, options in ranges)


def media_type_of(value: str) -> tuple[str, dict[str, str]]:
    """Return the media type of a header's value, and its options."""
    media_type, *options = value.split(";")
    pairs = (option.partition("=") for option in options)
    return media_type.strip().lower(), {
        name.strip().lower(): option.strip().strip('"').lower() for name, _, option in pairs
    }


def _weight(options: Mapping[str, str]) -> float:
    try:
        weight = float(options.get("q", "1"))
    except ValueError:
        return 0.0
    return weight if 0 <= weight <= 1 else 0.0
