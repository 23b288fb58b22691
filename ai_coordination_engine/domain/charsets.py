"""Text from bytes that come from outside: by their byte order mark, or else by the charset that was
named. Pure.
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
# What these labels mean to those who send them: the Encoding Standard (encoding.spec.whatwg.org),
# "Names and labels".
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
# Python calls these text, and none is a charset: escapes, the names of hosts, and what a filter
# reads otherwise.
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
    """The bytes are no text in the charset that they claim; the message goes on after the name of
    the text.
    """


def decode(data: bytes, content_type: str = "") -> str:
    """The text of `data`: a byte order mark wins (and is taken off), then the charset of
    `content_type`, then UTF-8.

    Raises `Undecodable` for a charset that is not known, and for bytes that it does not have: no
    letter is guessed.
    """
    for bom, name in _BOMS:
        if data.startswith(bom):
            return _decoded(data[len(bom) :], name, name.upper())
    charset = charset_of(content_type) or "UTF-8"
    return _decoded(data, _codec(charset), charset)


def charset_of(content_type: str) -> str | None:
    """The charset that a Content-Type names (RFC 9110, "Media Type"), as it is written; None when
    it names none.
    """
    found = _CHARSET.search(content_type)
    return next((each.strip() for each in found.groups() if each), None) if found else None


def without_bom(text: str) -> str:
    """A text without the byte order mark that it may begin with."""
    return text.removeprefix("\ufeff")


def _codec(charset: str) -> str:
    try:
        name = codecs.lookup(charset).name if _NAME.fullmatch(charset) else ""
        # raises LookupError for what does not make text of bytes
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
