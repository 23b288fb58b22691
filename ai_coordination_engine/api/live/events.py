"""Server-sent events of GraphQL over SSE in its distinct connections mode (PROTOCOL.md of the npm
package `graphql-sse`; HTML standard, "Server-sent events").
"""

HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",  # for a proxy: events pass at once
}
KEEP_ALIVE = ":\n\n"
"""A comment, which clients ignore."""
KEEP_ALIVE_SECONDS = 12.0
COMPLETE = "event: complete\ndata:\n\n"
"""The last event. Browsers leave out an event without data."""


def next_event(payload: str) -> str:
    """Return the event with a result, whose JSON without line breaks is `payload`."""
    return f"event: next\ndata: {payload}\n\n"
