"""Images under the page's pixels: right side up, small, nothing but pixels; or an error that says why."""

import base64
import io
import os

import numpy as np
import pytest

import fastrf
from fastrf.explorer import images

Image = pytest.importorskip("PIL.Image")
PIXELS = (8, 9)


def opened(found):
    """The image of a document."""
    head, _, text = found["uri"].partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return Image.open(io.BytesIO(base64.b64decode(text)))


def halves(mode="RGB", size=(40, 20)):
    """White on the left, black on the right."""
    values = np.zeros((size[1], size[0]), np.uint8)
    values[:, : size[0] // 2] = 255
    return Image.fromarray(values).convert(mode)


def test_what_is_rotated_is_shown_right_side_up_and_nothing_else_is_kept(tmp_path):
    path = tmp_path / "rotated.jpg"
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "secret"
    halves().save(path, exif=exif, comment=b"secret")
    found = images.picture(path, PIXELS)
    assert (found["width"], found["height"], found["name"]) == (20, 40, "rotated.jpg")
    shown = opened(found)
    values = np.asarray(shown.convert("L"))
    assert values[2, 10] > 200
    assert values[37, 10] < 50
    assert not shown.getexif()
    assert b"secret" not in base64.b64decode(found["uri"].partition(",")[2])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "YCbCr", "I", "F", "I;16"])
def test_images_of_every_mode(mode, tmp_path):
    if mode in ("I", "F", "I;16"):
        kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        given = Image.fromarray((np.asarray(halves("L")) / 255 * (1 if mode == "F" else 65535)).astype(kind))
    else:
        given = halves(mode)
    values = np.asarray(opened(images.picture(given, PIXELS)).convert("L"))
    assert values[5, 5] > 250
    assert values[5, 35] < 5


def test_what_is_transparent_is_white():
    given = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    assert np.asarray(opened(images.picture(given, PIXELS)).convert("L")).min() == 255


def test_large_images_are_made_small(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("RGB", (4000, 3000), "red").save(path)
    found = images.picture(path, PIXELS)
    assert (found["width"], found["height"]) == (images.SIDE, images.SIDE * 3 // 4)
    assert len(found["uri"]) < 100_000


@pytest.mark.parametrize("array", [np.eye(9), np.ones((4, 5, 3), np.uint8), np.zeros((4, 5, 1)), np.ones((3, 3), bool)])
def test_arrays(array):
    assert np.asarray(opened(images.picture(array, PIXELS))).shape[:2] == array.shape[:2]


def test_what_is_no_image_is_told_in_a_line(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    with pytest.raises(fastrf.FormatError, match=r"photo\.jpg: No such file"):
        images.picture(path, PIXELS)
    path.write_bytes(b"no image")
    with pytest.raises(fastrf.FormatError, match=r"photo\.jpg: no image that Pillow reads; give a \.png or \.jpg"):
        images.picture(path, PIXELS)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)).save(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(fastrf.FormatError, match=r"photo\.jpg: a damaged image .*; save it anew"):
        images.picture(path, PIXELS)
    with pytest.raises(fastrf.FormatError, match=r"Is a directory|a folder, pipe or device|denied"):
        images.picture(tmp_path, PIXELS)
    halves().save(path)
    monkeypatch.setattr(images, "MOST_PIXELS", 10)
    with pytest.raises(fastrf.LimitError, match=r"40 x 20 pixels, more than 10; give a smaller image"):
        images.picture(path, PIXELS)


def test_bombs_are_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "bomb.png"
    halves().save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(fastrf.LimitError, match=r"bomb\.png: more pixels than can be read"):
        images.picture(path, PIXELS)


@pytest.mark.parametrize("wrong", [3, np.zeros((2, 2, 2)), np.zeros(3), np.zeros((0, 3)), np.array(["a"]), {"a": 1}])
def test_what_else_is_no_image(wrong):
    with pytest.raises(fastrf.UsageError, match="image must be a path, an image of Pillow's or an array"):
        images.picture(wrong, PIXELS)


def test_inputs_that_no_image_lies_under():
    with pytest.raises(fastrf.UsageError, match=r"two pixel axes, and this one has \(100,\); leave it out"):
        images.picture(np.eye(3), (100,))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I", "F", "I;16", "I;16B"])
def test_large_images_are_made_small_in_bands(mode, tmp_path, monkeypatch):
    """What comes of it is what comes of the whole, turned the right way up."""
    monkeypatch.setattr(images, "SIDE", 16)
    monkeypatch.setattr(images, "_BAND", 400)
    kind = {"I": np.int32, "F": np.float32, "I;16": np.uint16, "I;16B": ">u2"}.get(mode)
    given = halves("L" if kind else mode, (120, 70))
    if kind:
        given = Image.fromarray((np.asarray(given) / 255 * (1 if mode == "F" else 65535)).astype(kind))
    given.getexif()[0x0112] = 6
    before = given.tobytes()
    shown = opened(images.picture(given, PIXELS)).convert("L")
    assert max(shown.size) == shown.height == 16
    values = np.asarray(shown)
    assert values[:7].min() > 250
    assert values[-7:].max() < 5
    assert (given.size, given.tobytes()) == ((120, 70), before)


def test_a_large_image_is_never_copied_whole(tmp_path, monkeypatch):
    given, sizes = halves("RGBA", (4000, 3000)), []
    plain = images._plain
    monkeypatch.setattr(
        images, "_plain", lambda pillow, part, most: (sizes.append(part.size), plain(pillow, part, most))[1]
    )
    images.picture(given, PIXELS)
    assert max(width * height for width, height in sizes) <= images._BAND
    assert sum(height for _, height in sizes) == 3000
