"""URLs that users give, and prefixes that the operator allows."""

import re
from urllib.parse import unquote

import httpx

# A path segment `.` or `..`, between slashes, backslashes or before a path parameter.
_DOTS = re.compile(r"(?:^|[/\\])\.\.?(?:$|[/\\;#])")


def parsed_url(text: str) -> httpx.URL | None:
    """Return the URL as the HTTP client parses it, or None if it is not acceptable.

    Another parser could find another host in the same text.
    """
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None
    # Some servers decode a path more than once, so decode it until nothing changes.
    path = text.partition("?")[0]
    while path != (once_more := unquote(path)):
        path = once_more
    climbs = _DOTS.search(path)
    is_absolute = url.scheme in ("http", "https") and url.host
    return url if is_absolute and not url.userinfo and not climbs else None


def is_under(url: httpx.URL, prefix: httpx.URL) -> bool:
    """Whether a URL is this prefix, or below it."""
    if (url.scheme, url.host, url.port) != (prefix.scheme, prefix.host, prefix.port):
        return False
    base, path = _path(prefix).rstrip(b"/"), _path(url)
    return path == base or path.startswith(base + b"/")


def _path(url: httpx.URL) -> bytes:
    """Return the path as it is sent. In a decoded path, an escaped slash would look like a
    separator.
    """
    return url.raw_path.partition(b"?")[0]
