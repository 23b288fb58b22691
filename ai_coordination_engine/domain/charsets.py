"""Decode bytes from outside to text. Pure.

Run files, HTTP requests and the answers of HTTP agents are decoded here.
"""

import codecs
import re

_BOMS = (  # byte order marks; UTF-32 first: its little-endian one begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# The codecs that senders mean by these labels. Source: the Encoding Standard
# (encoding.spec.whatwg.org), "Names and labels".
_MEANT = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "utf-16": "utf-16-le",
    "utf-32": "utf-32-le",
}
# Text codecs of Python that are not charsets: escapes, host names, and UTF-7, which hides text
# from filters.
_NO_CHARSETS = {
    "utf-7",
    "unicode-escape",
    "raw-unicode-escape",
    "charmap",
    "idna",
    "punycode",
    "undefined",
    "mbcs",
    "oem",
}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:+-]{0,39}")
_CHARSET = re.compile(r""";\s*charset\s*=\s*(?:"([^"]*)"|'([^']*)'|([^;,\s]*))""", re.IGNORECASE)


class Undecodable(ValueError):
    """The bytes are not text in the charset that was named. The message completes "<name> …"."""


def decode(data: bytes, content_type: str = "") -> str:
    """Decode `data`: by its byte order mark, else by the charset of `content_type`, else as UTF-8.

    The byte order mark is removed. Raises `Undecodable` for an unknown charset, and for bytes that
    are invalid in it: nothing is replaced.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _decoded(data[len(bom) :], name, name.upper())
    charset = charset_of(content_type) or "UTF-8"
    return _decoded(data, _codec(charset), charset)


def charset_of(content_type: str) -> str | None:
    """The charset in a Content-Type, as written; None if there is none.

    Source: RFC 9110, "Media Type".
    """
    found = _CHARSET.search(content_type)
    return next((each.strip() for each in found.groups() if each), None) if found else None


def without_bom(text: str) -> str:
    """The text without a byte order mark at its start."""
    return text.removeprefix("\ufeff")


def _codec(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name if _NAME.fullmatch(charset) else ""
        # raises LookupError for a codec that does not decode bytes to text
        b"x".decode(name or "undefined", "ignore")
    except (LookupError, UnicodeError):
        name = ""
    if not name or name.replace("_", "-") in _NO_CHARSETS:
        raise Undecodable(f"names the charset {charset[:40]!r}, which is not known")
    return _MEANT.get(name, name)


def _decoded(data: bytes, codec: str, charset: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeError as error:
        raise Undecodable(f"holds bytes that are not {charset}") from error
