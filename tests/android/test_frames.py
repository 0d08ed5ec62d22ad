"""The frames that Kotlin's pipeline is compared on, and their colours in Python."""

import numpy as np
import pytest

from android_demo.core.reference.frames import SIZES, STRIDE_EXTRA, cases
from android_demo.core.reference.yuv import LAYOUTS, RANGES, Planes

pytestmark = pytest.mark.single_backend


def test_the_frames_are_of_every_kind():
    found = list(cases())
    assert len(found) >= 200
    assert {case.size for case in found} >= set(SIZES)
    assert len(SIZES) >= 4
    assert {(case.degrees, case.mirrored, case.range) for case in found} == {
        (degrees, mirrored, range)
        for degrees in (0, 90, 180, 270)
        for mirrored in (False, True)
        for range in RANGES
    }
    assert {case.layout for case in found} == set(LAYOUTS)
    assert any(width % 2 and height % 2 for width, height in SIZES)
    assert any(extra % 2 for extra in STRIDE_EXTRA)


@pytest.mark.parametrize(
    ("range", "rgb", "yuv"),
    [  # of BT.601
        ("FULL", (0, 0, 0), (0, 128, 128)),
        ("FULL", (255, 255, 255), (255, 128, 128)),
        ("FULL", (255, 0, 0), (76, 85, 255)),
        ("LIMITED", (0, 0, 0), (16, 128, 128)),
        ("LIMITED", (255, 255, 255), (235, 128, 128)),
        ("LIMITED", (255, 0, 0), (81, 90, 240)),
        ("LIMITED", (0, 255, 0), (145, 54, 34)),
        ("LIMITED", (0, 0, 255), (41, 240, 110)),
    ],
)
def test_colours(range, rgb, yuv):
    planes = Planes.of_photo(np.full((2, 2, 3), rgb, "uint8"), range)
    assert (planes.y[0, 0], planes.u[0, 0], planes.v[0, 0]) == yuv
    assert np.abs(planes.to_rgb().astype(int) - rgb).max() <= 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_bytes_of_a_frame(layout):
    planes = Planes(
        np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], "uint8"),
        np.array([[11, 12], [13, 14]], "uint8"),
        np.array([[21, 22], [23, 24]], "uint8"),
        "FULL",
    )
    content = list(planes.to_bytes(layout, 4, np.random.default_rng(0)))
    assert [content[4 * row : 4 * row + 3] for row in (0, 1, 2)] == planes.y.tolist()
    u, v = [11, 12, 13, 14], [21, 22, 23, 24]
    expected = {
        "I420": u + v,
        "NV12": [x for pair in zip(u, v, strict=True) for x in pair],
        "NV21": [x for pair in zip(v, u, strict=True) for x in pair],
    }
    assert content[12:] == expected[layout]
