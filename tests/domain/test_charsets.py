"""Bytes from outside become the letters that were meant, or an error."""

import pytest

from ai_coordination_engine.domain.charsets import Undecodable, charset_of, decode

TEXT = "Grüße, 5 €"


@pytest.mark.parametrize(
    ("data", "content_type", "text"),
    [
        (b"", "text/plain; charset=iso-8859-1", ""),
        (TEXT.encode(), "", TEXT),
        (TEXT.encode(), "text/plain", TEXT),
        (TEXT.encode(), "application/json; charset=utf8", TEXT),
        (TEXT.encode("utf-8-sig"), "", TEXT),
        (TEXT.encode("utf-16"), "application/json", TEXT),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), "", TEXT),
        (TEXT.encode("utf-32"), "", TEXT),
        (b"\x00\x00\xfe\xff" + TEXT.encode("utf-32-be"), "", TEXT),
        (TEXT.encode("utf-8-sig"), "text/plain; charset=iso-8859-1", TEXT),  # the mark wins
        (TEXT.encode("utf-8-sig"), "text/plain; charset=zip", TEXT),
        ("\ufeff\ufeffa".encode(), "", "\ufeffa"),  # one mark; what follows is text
        (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16le", TEXT),
        (TEXT.encode("utf-16-le"), "text/plain; charset=UTF-16", TEXT),
        (TEXT.encode("utf-16-be"), "text/plain; charset=utf-16be", TEXT),
        (TEXT.encode("iso-8859-15"), "text/plain; charset=ISO-8859-15", TEXT),
        (TEXT.encode("cp1252"), "text/plain; charset=windows-1252", TEXT),
        # 0x80 is a euro sign, not a control
        (TEXT.encode("cp1252"), "text/plain; charset=iso-8859-1", TEXT),
        (
            "Grüße".encode("latin-1"),
            'Text/Plain; format=flowed ;  CHARSET = "Latin1" ; x=y',
            "Grüße",
        ),
        ("Grüße".encode("latin-1"), "text/plain;charset='iso8859-1'", "Grüße"),
        ("Привет".encode("koi8-r"), "text/plain; charset=koi8-r", "Привет"),
        ("①か".encode("cp932"), "text/plain; charset=Shift_JIS", "①か"),
        ("热泵".encode("gbk"), "text/plain; charset=gb2312", "热泵"),
        ("a".encode("ascii"), "text/plain; charset=us-ascii", "a"),
        ("é".encode(), "text/plain; charset=", "é"),
        # the header is there twice
        ("é".encode(), "text/plain; charset=utf-8, text/plain; charset=utf-8", "é"),
        ("é".encode(), "text/plain; charset", "é"),
    ],
)
def test_a_mark_says_how_then_the_charset_then_utf_8(
    data: bytes, content_type: str, text: str
) -> None:
    assert decode(data, content_type) == text


@pytest.mark.parametrize(
    ("data", "content_type", "message"),
    [
        (b"\xff", "", "holds bytes that are not UTF-8"),
        (b"Z\xfcrich", "text/plain", "holds bytes that are not UTF-8"),
        (b"\xed\xa0\x80", "", "holds bytes that are not UTF-8"),  # half of a surrogate pair
        (b"\xef\xbb\xbf\xff", "", "holds bytes that are not UTF-8"),
        (b"\xff\xfea", "", "holds bytes that are not UTF-16-LE"),
        (b"\xff\xfe\x00\xd8", "", "holds bytes that are not UTF-16-LE"),
        (b"a\x81", "text/plain; charset=iso-8859-1", "holds bytes that are not iso-8859-1"),
        ("ü".encode(), "text/plain; charset=us-ascii", "holds bytes that are not us-ascii"),
    ],
)
def test_bytes_that_cannot_be_read_are_never_other_letters(
    data: bytes, content_type: str, message: str
) -> None:
    with pytest.raises(Undecodable) as error:
        decode(data, content_type)
    assert str(error.value) == message


@pytest.mark.parametrize(
    "charset",
    [
        "zip",
        "zlib",
        "bz2",
        "hex",
        "base64",
        "rot13",
        "quopri",
        "uu",
        "idna",
        "punycode",
        "utf-7",
        "unicode_escape",
        "raw-unicode-escape",
        "undefined",
        "mbcs",
        "charmap",
        "binary",
        "x-user-defined",
        "utf-9",
        "aliases",
        "../utf8",
    ],
)
@pytest.mark.parametrize("data", [b"", b"x"])
def test_what_is_no_charset_is_refused_by_its_name(data: bytes, charset: str) -> None:
    with pytest.raises(Undecodable, match=f"names the charset '{charset}', which is not known"):
        decode(data, f"text/plain; charset={charset}")


def test_a_charset_is_shown_as_it_was_written() -> None:
    assert charset_of('text/plain; a=b; Charset="Foo Bar"') == "Foo Bar"
    assert charset_of("text/plain; xcharset=a") is None
    with pytest.raises(Undecodable) as error:
        decode(b"x", "text/plain; charset=" + "y" * 500)
    assert str(error.value) == f"names the charset '{'y' * 40}', which is not known"
