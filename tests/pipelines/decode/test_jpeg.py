"""JPEG files: what is there in full passes whatever its kind, and nothing that is cut short does."""

import io
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, UnidentifiedImageError

from pipelines.decode.jpeg import JpegError, black_jpeg, check_jpeg
from tests.helpers.media import numbered_picture

HEIGHT, WIDTH = 48, 64


def jpeg(mode="RGB", **options) -> bytes:
    output = io.BytesIO()
    Image.fromarray(numbered_picture(5, (HEIGHT, WIDTH))).convert(mode).save(output, "JPEG", **options)
    return output.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG file with a whole other one, end marker and all, in a segment before the picture."""
    data, segment = jpeg(), jpeg(quality=10)
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


KINDS = {
    "baseline": jpeg(),
    "progressive": jpeg(progressive=True),
    "grey": jpeg("L"),
    "four colors": jpeg("CMYK"),
    "restart markers": jpeg(restart_marker_blocks=1),
    "full chroma": jpeg(subsampling=0, optimize=True),
    "thumbnail": with_thumbnail(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_size_of_every_kind(kind):
    assert check_jpeg(KINDS[kind]) == (HEIGHT, WIDTH)
    assert check_jpeg(KINDS[kind] + bytes(100)) == (HEIGHT, WIDTH)  # what follows the end is not looked at
    head, _, scan = KINDS[kind].rpartition(b"\xff\xda")
    assert check_jpeg(head + b"\xff\xff\xff\xda" + scan) == (HEIGHT, WIDTH)  # fill bytes


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_cut_short_anywhere(kind):
    for length in range(len(KINDS[kind])):
        with pytest.raises(JpegError):
            check_jpeg(KINDS[kind][:length])


@given(kind=st.sampled_from(sorted(KINDS)), place=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_whatever_a_byte_becomes_the_size_is_that_of_the_header_or_there_is_an_error(kind, place, value):
    data = bytearray(KINDS[kind])
    data[int(place * len(data))] = value
    try:
        height, width = check_jpeg(bytes(data))
    except JpegError:
        return
    with suppress(UnidentifiedImageError), Image.open(io.BytesIO(data)) as image:
        assert image.size == (width, height)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "holds no bytes"),
        (b"<html>", "is no JPEG file, it begins with b'<html>'"),
        (KINDS["baseline"][:-2], "cut short"),
        (KINDS["baseline"][:400] + bytes(5000), "is damaged, byte"),
        (KINDS["baseline"].replace(b"\xff\xc0", b"\xff\xc9"), "rare kind"),
        (KINDS["baseline"].replace(b"\xff\xda\x00\x0c", b"\xff\xda\x00\x01"), "has no length"),
        (KINDS["baseline"].replace(b"\xff\xc0", b"\xff\xe0"), "no header that tells its size"),
        (KINDS["baseline"].replace((HEIGHT).to_bytes(2, "big") + (WIDTH).to_bytes(2, "big"), bytes(4)), "0 x 0"),
    ],
)
def test_reasons(data, reason):
    with pytest.raises(JpegError, match=reason):
        check_jpeg(data)


def test_black():
    assert check_jpeg(black_jpeg()) == (16, 16)
    with Image.open(io.BytesIO(black_jpeg())) as image:
        assert image.convert("RGB").getextrema() == ((0, 0),) * 3
