"""A part of a frame that is converted alone equals that part of the whole frame."""

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.decode.rgb import RGBConverter
from pipelines.sampling.plan import Crop


def noise(width: int, height: int, pix_fmt: str, rng: np.random.Generator) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane in frame.planes:
        np.frombuffer(memoryview(plane), np.uint8)[:] = rng.integers(0, 256, plane.buffer_size, dtype=np.uint8)
    return frame


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"])
@given(seed=st.integers(0, 2**32 - 1))
def test_a_part_equals_that_of_the_whole(pix_fmt, seed):
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(16, 200, 2))
    frame = noise(width, height, pix_fmt, rng)
    h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
    y, x = int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1))
    whole = RGBConverter()(frame)[y : y + h, x : x + w]
    np.testing.assert_array_equal(RGBConverter()(frame, Crop(y, x, h, w)), whole)
