"""PDF of plain lines of text in one fixed-width font, which every reader has.

Source: ISO 32000-1: file structure (7.5), text (9), standard fonts (9.6.2.2), WinAnsi encoding (annex D).
"""

import zlib
from collections.abc import Sequence
from datetime import datetime
from typing import Final

__all__ = ["document"]

_WIDTH, _HEIGHT, _MARGIN = 595, 842, 32  # A4, in points.
_SIZE, _LEADING = 8, 11
_PER_PAGE: Final = (_HEIGHT - 2 * _MARGIN) // _LEADING - 2
_CATALOG, _PAGES, _FONT, _INFO = 1, 2, 3, 4
_FIRST_PAGE: Final = 5


def document(title: str, lines: Sequence[str], *, made_at: datetime) -> bytes:
    """Return a document that shows lines from top to bottom, page after page, each with its number.

    Characters that Western European fonts don't have are shown as question marks.

    Args:
        title: What readers call it.
        lines: What it says; a line that is longer than the page is wide runs out of it.
        made_at: When it was made, so that the same statement is the same document.
    """
    pages = [lines[start : start + _PER_PAGE] for start in range(0, max(len(lines), 1), _PER_PAGE)]
    kids = " ".join(f"{_FIRST_PAGE + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        f"<< /Type /Catalog /Pages {_PAGES} 0 R >>".encode(),
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
        b"<< /Title (%s) /CreationDate (D:%s) >>" % (_escaped(title), made_at.strftime("%Y%m%d%H%M%SZ").encode()),
    ]
    for number, page in enumerate(pages):
        content = zlib.compress(_content(page, f"{number + 1} / {len(pages)}"))
        objects.append(
            (
                f"<< /Type /Page /Parent {_PAGES} 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] "
                f"/Resources << /Font << /F1 {_FONT} 0 R >> >> /Contents {_FIRST_PAGE + 2 * number + 1} 0 R >>"
            ).encode()
        )
        objects.append(b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(content), content))
    return _file(objects)


def _content(lines: Sequence[str], number: str) -> bytes:
    top = _HEIGHT - _MARGIN - _SIZE
    shown = [b"(%s) Tj T*" % _escaped(line) for line in lines]
    foot = b"1 0 0 1 %d %d Tm (%s) Tj" % (_MARGIN, _MARGIN, _escaped(number))
    begin = b"BT /F1 %d Tf %d TL 1 0 0 1 %d %d Tm" % (_SIZE, _LEADING, _MARGIN, top)
    return b"\n".join([begin, *shown, foot, b"ET"])


def _escaped(text: str) -> bytes:
    """Return a text as a literal string has it (7.3.4.2)."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    encoded = text.encode("cp1252", "replace")
    return encoded.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")


def _file(objects: Sequence[bytes]) -> bytes:
    """Return the file of some objects, numbered from 1, with the table of where each begins (7.5.4)."""
    written = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, each in enumerate(objects, start=1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = len(written)
    written += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    written += b"".join(b"%010d 00000 n \n" % place for place in places)
    written += b"trailer\n<< /Size %d /Root %d 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        _CATALOG,
        _INFO,
        table,
    )
    return bytes(written)
