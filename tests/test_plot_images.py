"""Images below masks: any form, right side up; what is no image is told in one line, with a remedy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fastrf
from fastrf import plot
from fastrf.plot import images
from fastrf.plot.images import read_picture
from tests.test_plot import drawn, image_of

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure
from PIL import Image

COLORED = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)


@pytest.fixture
def field():
    return fastrf.analyze([fastrf.conv(1, 3)], (3, 6, 9)).output


def test_what_is_not_seen_is_veiled(field):
    ax = drawn(plot.mask(field, (1, 2), COLORED, ax=Figure()))
    assert np.array_equal(ax.images[0].get_array(), COLORED)
    assert np.array_equal(image_of(ax, 1), field.mask((1, 2)))
    veil = ax.images[1].cmap([0.0, 1.0])[:, 3]
    assert veil[0] > 0.5
    assert veil[1] == 0
    assert all(len(one.images) == 2 for one in plot.masks(field, [(0, 0), (1, 1)], COLORED, ax=Figure()))
    assert all(len(one.images) == 2 for one in plot.compare([field, field], image=COLORED, ax=Figure()))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (COLORED, COLORED),
        (np.moveaxis(COLORED, -1, 0), COLORED),
        (np.moveaxis(COLORED, -1, 0)[None], COLORED),
        (COLORED / 255, COLORED),
        (COLORED.astype(np.float16) / 255, COLORED),
        (COLORED.astype(np.int64), COLORED),
        (COLORED.tolist(), COLORED),
        (COLORED[..., 0], np.repeat(COLORED[..., :1], 3, -1)),
        (COLORED[..., :1], np.repeat(COLORED[..., :1], 3, -1)),
        (np.dstack([COLORED, COLORED[..., 0]]), np.dstack([COLORED, COLORED[..., 0]])),
        (COLORED.astype(np.uint16) * 257, COLORED),
        (COLORED[..., 0] > 80, np.repeat((COLORED[..., :1] > 80) * np.uint8(255), 3, -1)),
        (Image.fromarray(COLORED), COLORED),
    ],
)
def test_forms_of_images(given, expected):
    found = read_picture(given, (6, 9))
    assert found.shape == (6, 9)
    assert np.array_equal(found.pixels, expected)


def test_three_rows_are_no_channels_where_the_input_says_so():
    given = np.zeros((3, 4, 3), np.uint8)
    given[0] = 9
    assert read_picture(given, (4, 3)).shape == (4, 3)
    assert read_picture(given, (3, 4)).shape == (3, 4)


def test_normalised_images_are_brought_to_what_can_be_drawn():
    found = read_picture(np.array([[-2.0, 0.5], [np.nan, 3.0]])).pixels[..., 0]
    assert found.tolist() == [[0, 128], [102, 255]]
    with warnings.catch_warnings(record=True) as told:
        drawn(
            plot.mask(fastrf.analyze([fastrf.conv(1, 1)], (1, 2, 2)).output, image=np.full((2, 2), np.inf), ax=Figure())
        )
    assert not told


@pytest.mark.parametrize(("name", "mode"), [("a.png", "RGB"), ("a.png", "RGBA"), ("a.png", "L"), ("a.png", "P"),
                                            ("a.png", "1"), ("a.jpg", "CMYK"), ("a.png", "I;16"), ("a.webp", "RGB"),
                                            ("a.gif", "P"), ("a.tif", "F")])  # fmt: skip
def test_files_of_any_kind(name, mode, tmp_path, field):
    if mode == "I;16":
        Image.fromarray(COLORED[..., 0].astype(np.uint16) * 257).save(tmp_path / name)
    else:
        Image.fromarray(COLORED).convert(mode).save(tmp_path / name)
    ax = drawn(plot.mask(field, image=tmp_path / name, ax=Figure()))
    assert ax.images[0].get_array().shape[:2] == (6, 9)
    assert ax.images[0].get_array().shape[2] == (4 if mode == "RGBA" else 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rotated_photos_are_shown_right_side_up(orientation, tmp_path):
    """The red corner is at the upper left, however the camera was held."""
    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:20, :30] = (255, 0, 0)
    turns = [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM,
             Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE,
             Image.Transpose.ROTATE_270]  # fmt: skip
    stored = Image.fromarray(upright)
    stored = stored.transpose(turns[orientation - 2]) if orientation > 1 else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    found = read_picture(str(tmp_path / "photo.jpg"))
    assert found.shape == (40, 60)
    assert np.abs(found.pixels[2:18, 2:28].astype(int) - (254, 0, 0)).max() < 16
    assert found.pixels[25:, :].max() < 30


def test_huge_images_are_made_small(tmp_path):
    Image.new("RGB", (9000, 6000), (9, 8, 7)).save(tmp_path / "large.jpg")
    found = read_picture(tmp_path / "large.jpg")
    assert found.shape == (6000, 9000)
    assert max(found.pixels.shape) <= images.LONGEST
    assert read_picture(np.zeros((5000, 10), np.uint8)).pixels.shape == (1667, 4, 3)


def test_other_proportions_are_said(field):
    ax = drawn(plot.mask(field, image=np.zeros((9, 9)), ax=Figure()))
    assert ax.get_xlabel() == "x (pixels)\nan image of 9x9 is stretched to the 6x9 of the input"
    assert plot.mask(field, image=np.zeros((12, 18)), ax=Figure()).get_xlabel() == "x (pixels)"


def png_of(width, height):
    """The beginning of a .png that promises a lot."""
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_what_is_no_image_is_told_in_one_line(tmp_path, field):
    Image.fromarray(COLORED).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    files = {"text.png": b"no picture", "empty.png": b"", "cut.png": whole[:50], "bomb.png": png_of(60_000, 60_000),
             "false.png": png_of(9, 6), "spoilt.png": whole[:41] + b"\0\0\0" + whole[44:]}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in [*files, "missing.png", ""]:
        with pytest.raises(fastrf.FormatError, match=r"picture such as|check the path|smaller") as caught:
            plot.mask(field, image=tmp_path / name, ax=Figure())
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
    for wrong in (
        np.zeros((2, 3, 4, 5)),
        np.zeros((5, 6, 7)),
        np.zeros(4),
        np.zeros((0, 3)),
        np.zeros((2, 2), complex),
    ):
        with pytest.raises(fastrf.ShapeError, match="image "):
            plot.mask(field, image=wrong, ax=Figure())
    with pytest.raises(fastrf.FastRFError, match="image must"):
        plot.mask(field, image={"no": "image"}, ax=Figure())
