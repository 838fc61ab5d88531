"""Messages in H.264 and HEVC (supplemental enhancement information).

Source: ITU-T H.264 7.3.2.3.1; ITU-T H.265 7.3.5; film grain in messages of ITU-T T.35: AOMedia AFGS1.
"""

from collections.abc import Iterator

from pipelines.decode.bitstream.bits import unescaped

T35, USER_DATA, FILM_GRAIN, ORIENTATION = 4, 5, 19, 47  # types of messages
AOMEDIA = b"\xb5\x58\x90"  # country and provider in messages of T.35


def messages(unit: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and content of each message of a unit (without the unit's header)."""
    data, position = unescaped(unit), 0
    while position + 1 < len(data):  # the last byte ends the unit
        kind, position = _number(data, position)
        size, position = _number(data, position)
        yield kind, data[position : position + size]
        position += size


def alters_pictures(kind: int, content: bytes) -> bool:
    """Whether FFmpeg adds grain to decoded pictures, or turns them, because of a message; in HEVC also later ones."""
    return kind in (FILM_GRAIN, ORIENTATION) or (kind == T35 and content.startswith(AOMEDIA))


def _number(data: bytes, position: int) -> tuple[int, int]:
    """The sum of the bytes up to the first that is not 255, and where the next number begins."""
    total = 0
    while position < len(data):
        byte = data[position]
        total, position = total + byte, position + 1
        if byte < 255:
            break
    return total, position
