"""Text files that people write: UTF-8, whatever the locale."""

from collections.abc import Iterator
from pathlib import Path

from pipelines.files.errors import ListError
from pipelines.files.unicode_names import name_hint

NOT_UTF8 = (
    "not UTF-8 text, but perhaps Latin-1, Windows-1252 or UTF-16; save the file as UTF-8, for example with "
    "iconv -f WINDOWS-1252 -t UTF-8"
)


def text_lines(path: str | Path) -> Iterator[tuple[int, str | None]]:
    """The lines of a text file: (line number from 1, stripped text or None where the bytes are not UTF-8).

    Raises:
        ListError: the file cannot be read, or is UTF-16.
    """
    for number, raw in enumerate(_content(path).splitlines(), 1):
        try:
            yield number, raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            yield number, None


def read_text(path: str | Path) -> str:
    """All of a UTF-8 text file, whatever the locale, without a byte order mark.

    Raises:
        ListError: the file cannot be read, or is no UTF-8 text.
    """
    data = _content(path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ListError([f"{path}:{line}: {NOT_UTF8}"]) from error


def _content(path: str | Path) -> bytes:
    """The bytes of a text file without a byte order mark; raises ListError."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ListError([f"{path}: cannot be read ({error.strerror}){name_hint(path)}"]) from error
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or (len(data) > 3 and not (any(data[:8:2]) and any(data[1:8:2]))):
        raise ListError([f"{path}:1: UTF-16 text; save it as UTF-8"])  # every other byte of ASCII letters is 0
    return data.removeprefix(b"\xef\xbb\xbf")
