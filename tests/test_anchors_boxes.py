"""Reading boxes: every format, every kind of bad box counted and placed, and the rules of resizing."""

from __future__ import annotations

import json
import struct
import sys

import numpy as np
import pytest

import fastrf
from fastrf.anchors import Resize, read_boxes
from fastrf.anchors.resize_rules import fitted

IMAGES = [{"id": 7, "width": 100, "height": 50}, {"id": "b", "width": 40, "height": 80}]


def write(path, text):
    path.write_text(text)
    return str(path)


def coco(*bboxes, images=IMAGES, **more):
    return {"images": images, "annotations": [{"image_id": 7, "bbox": bbox, **more} for bbox in bboxes]}


def reasons(boxes):
    return {part.reason: (part.count, part.where, part.kept) for part in boxes.rejected}


# Formats ----------------------------------------------------------------------------------------------------


def test_coco_instances(tmp_path):
    data = coco([1, 2, 3, 4], [10, 20, 30.5, 5])
    data["annotations"][1]["image_id"] = "b"
    boxes = read_boxes(write(tmp_path / "a.json", json.dumps(data)))
    assert boxes.sizes.tolist() == [[3, 4], [30.5, 5]]
    assert boxes.corners.tolist() == [[1, 2, 4, 6], [10, 20, 40.5, 25]]
    assert boxes.image.tolist() == [0, 1]
    assert boxes.image_width.tolist() == [100, 40]
    assert boxes.has_image_sizes
    assert not boxes.rejected
    assert boxes.x.dtype == boxes.height.dtype == np.float64
    assert "2 in 2 images, 0 left out" in repr(boxes)


def test_coco_results():
    boxes = read_boxes([{"image_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}, {"image_id": 9, "bbox": [1, 2, 3, 5]}])
    assert len(boxes) == 2
    assert len(boxes.image_height) == 2
    assert not boxes.has_image_sizes
    sized = read_boxes(boxes, image_size=(4, 8))
    assert sized.image_height.tolist() == [4, 4]
    assert reasons(sized) == {"reaching beyond their image": (2, ("[0]", "[1]"), True)}
    assert sized.in_images((1, 1)) is sized


def test_coco_crowds_are_left_out():
    data = coco([1, 2, 3, 4], [1, 2, 3, 4])
    data["annotations"][1]["iscrowd"] = 1
    boxes = read_boxes(data)
    assert reasons(boxes) == {"of a crowd": (1, ("annotations[1]",), False)}
    assert str(boxes.rejected[0]) == "1 box left out, of a crowd: annotations[1]"


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0"


def jpeg(width, height):
    app = b"\xff\xe0" + struct.pack(">H", 6) + b"JFIF"
    return b"\xff\xd8" + app + b"\xff\xc0" + struct.pack(">HBHH", 11, 8, height, width) + b"\1\1\x11\0"


def test_yolo_labels(tmp_path):
    labels, images = tmp_path / "set" / "labels" / "train", tmp_path / "set" / "images" / "train"
    labels.mkdir(parents=True)
    images.mkdir(parents=True)
    (labels / "a.txt").write_text("0 0.5 0.5 0.5 0.25\n\n3 0.1 0.1 0.3 0.1 0.3 0.5\n")
    (labels / "b.txt").write_text("1 0.5 0.5 1 1\n")
    (labels / "classes.txt").write_text("cat\ndog\n")
    (images / "a.png").write_bytes(png(200, 100))
    (images / "b.jpg").write_bytes(jpeg(64, 32))
    boxes = read_boxes(tmp_path / "set" / "labels")
    assert boxes.corners == pytest.approx(np.array([[50, 37.5, 150, 62.5], [20, 10, 60, 50], [0, 0, 64, 32]]))
    assert boxes.image.tolist() == [0, 0, 1]
    (images / "b.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(fastrf.FormatError, match=r"b.txt: labels are shares of an image whose size"):
        read_boxes(labels)
    assert read_boxes(str(labels / "b.txt"), image_size=(10, 20)).sizes.tolist() == [[20, 10]]


BMP = b"BM" + bytes(12) + struct.pack("<Iii", 40, 6, -4) + bytes(8)  # of negative height: stored from the top
WEBP = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x05\0\0" + b"\x03\0\0"
TIFF = b"II*\0" + struct.pack("<IHHHIIHHII", 8, 2, 257, 3, 1, 4, 256, 4, 1, 6)


@pytest.mark.parametrize(("ending", "header"), [(".bmp", BMP), (".webp", WEBP), (".tif", TIFF), (".tiff", TIFF)])
def test_sizes_of_other_pictures(tmp_path, ending, header):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    (tmp_path / f"a{ending}").write_bytes(header)
    assert read_boxes(tmp_path).sizes.tolist() == [[3, 1]]


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [("a.png", png(4, 4), "imagesize"), ("a.xml", b"<annotation/>", "defusedxml")],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, content, package):
    """No size is made up where a picture is there that cannot be read."""
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    (tmp_path / name).write_bytes(content)
    for module in (package, f"{package}.ElementTree"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(fastrf.MissingExtraError, match=rf"needs {package}; pip install 'fastrf\[anchors\]'"):
        read_boxes(tmp_path, image_size=(8, 8))


@pytest.mark.parametrize(
    "header",
    [b"", b"GIF89a", b"<svg xmlns='x' width='8' height='8'/>", png(0, 3), b"\xff\xd8\x00\x00\x00\x00", png(1, 1)[:20]],
)
def test_pictures_without_a_size(tmp_path, header):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    (tmp_path / "a.png").write_bytes(header)
    assert read_boxes(tmp_path, image_size=(8, 8)).sizes.tolist() == [[4, 2]]


def test_bad_yolo_lines(tmp_path):
    (tmp_path / "a.txt").write_text(
        "0 0.5 0.5 0.5 0.25\n0 0.5 0.5\n0 x 1 1 1\n0 .5 .5 0 .1\n0 1 1 2 2 3 3 4\n0 nan 0 1 1\n"
    )
    boxes = read_boxes(tmp_path, image_size=(8, 8))
    assert reasons(boxes) == {
        "not a class and four shares": (3, ("a.txt:2", "a.txt:3", "a.txt:5"), False),
        "not four finite numbers": (1, ("a.txt:6",), False),
        "of size zero": (1, ("a.txt:4",), False),
    }


VOC = """<annotation><filename>a.jpg</filename><size><width>{w}</width><height>50</height><depth>3</depth></size>
<object><name>dog</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>10</xmax><ymax>20</ymax></bndbox>
<part><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>6</xmax><ymax>6</ymax></bndbox></part></object>
<object><name>cat</name><bndbox><xmin>x</xmin><ymin>2</ymin><xmax>10</xmax></bndbox></object></annotation>"""


def test_voc(tmp_path):
    """Corners are 1-based and inclusive: 1..10 is ten pixels."""
    (tmp_path / "a.xml").write_text(VOC.format(w=100))
    boxes = read_boxes(tmp_path)
    assert boxes.corners.tolist() == [[0, 1, 10, 20]]
    assert (boxes.image_height.tolist(), boxes.image_width.tolist()) == ([50], [100])
    assert reasons(boxes) == {"not four finite numbers": (1, ("a.xml object 1",), False)}
    (tmp_path / "a.xml").write_text(VOC.format(w="?"))
    assert not read_boxes(str(tmp_path / "a.xml")).has_image_sizes


LAUGHS = '<!DOCTYPE a [<!ENTITY x "lol"><!ENTITY y "&x;&x;&x;">]><annotation>&y;</annotation>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "declares a document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "declares a document type"),
        ("<annotation>", "not XML"),
        ("", "not XML"),
        ("<html/>", "the root is 'html'"),
        ("<annotation/>", "no usable box"),
    ],
)
def test_bad_xml(tmp_path, text, message):
    with pytest.raises(fastrf.FormatError, match=message):
        read_boxes(write(tmp_path / "a.xml", text))


def test_csv(tmp_path):
    text = "filename,width,height,class,xmin,ymin,xmax,ymax\na.jpg,200,100,cat,10,20,40,60\nb.jpg,50,60,dog,1,2,3,4\n"
    boxes = read_boxes(write(tmp_path / "a.csv", text))
    assert boxes.corners.tolist() == [[10, 20, 40, 60], [1, 2, 3, 4]]
    assert boxes.image_width.tolist() == [200, 50]
    text = "x,y,width,height,image,image_width,image_height\n1,2,3,4,a,10,20\n1,2,3,,a,10,20\n1,2\n"
    boxes = read_boxes(write(tmp_path / "b.csv", text))
    assert (len(boxes), boxes.image_height.tolist()[0]) == (1, 20)
    assert reasons(boxes) == {"not four finite numbers": (2, ("row 2", "row 3"), False)}
    assert read_boxes(write(tmp_path / "c.csv", "w, h\n3, 4\n")).sizes.tolist() == [[3, 4]]


def test_arrays(tmp_path):
    assert read_boxes(np.array([[3, 4]])).corners.tolist() == [[0, 0, 3, 4]]
    assert read_boxes([[1, 2, 3, 4]]).corners.tolist() == [[1, 2, 4, 6]]
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    assert len(read_boxes(tmp_path / "a.npy")) == 2
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(fastrf.FormatError, match="not an array"):
        read_boxes(tmp_path / "o.npy")


# Bad boxes --------------------------------------------------------------------------------------------------


def test_every_bad_box_is_counted_and_placed(tmp_path):
    data = coco(
        [1, 2, 3, 4],
        [1, 2, 0, 4],
        [1, 2, 3, -4],
        [1, 2, float("nan"), 4],
        [1, 2, 3],
        "1234",
        [100, 2, 3, 4],
        [-9, 2, 9, 4],
        [90, 2, 30, 4],
        [1, 2, True, 4],
        [1, 2, 10**400, 4],
    )
    data["annotations"] += [{"image_id": 8, "bbox": [1, 2, 3, 4]}, {"bbox": [1, 2, 3, 4]}, 5]
    data["annotations"] += [{"image_id": [], "bbox": [1, 2, 0, 4]}] * 6
    boxes = read_boxes(write(tmp_path / "a.json", json.dumps(data)))
    place = "annotations[{}]".format
    assert reasons(boxes) == {
        "without four numbers in 'bbox'": (4, (place(4), place(5), place(9), place(13)), False),
        "not four finite numbers": (2, (place(3), place(10)), False),
        "of negative size": (1, (place(2),), False),
        "of size zero": (7, tuple(map(place, (1, 14, 15, 16, 17))), False),
        "of an unknown image": (2, (place(11), place(12)), False),
        "outside their image": (2, (place(6), place(7)), False),
        "reaching beyond their image": (1, (place(8),), True),
    }
    assert len(boxes) == 2
    assert str(boxes.rejected[3]).endswith("annotations[17], ...")
    done = fastrf.anchors.report(fastrf.analyze("alexnet"), ["pool5"], boxes=boxes, effective=False)
    assert "7 boxes left out, of size zero" in str(done)
    assert json.loads(done.to_json())["rejected"][3]["count"] == 7


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "", "the file is empty"),
        ("a.json", "{", "not JSON"),
        ("a.json", "[" * 100_000, "not JSON"),
        ("a.json", "3", "neither COCO instances"),
        ("a.json", "{}", "neither COCO instances"),
        ("a.json", "[]", "holds no boxes"),
        ("a.json", '{"annotations": [], "images": []}', "holds no boxes"),
        ("a.json", '{"annotations": [{}], "images": 3}', "'images' must be a list"),
        (
            "a.json",
            '{"annotations": [{"bbox": [1, 2, 3, 4], "image_id": 1}], "images": []}',
            "no usable box .*unknown image",
        ),
        ("a.json", '[{"image_id": 1, "bbox": [1, 2, 0, 0]}]', "no usable box .1 box left out, of size zero: .0..$"),
        ("a.csv", "", "holds no rows"),
        ("a.csv", "x,y\n1,2\n", "has no boxes; name"),
        ("a.csv", 'x,"' + "y" * 200_000, "not a CSV"),
        ("a.txt", "\n", "no usable box .it is empty"),
        ("a.parquet", "", "ending '.parquet' is unknown"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    with pytest.raises(fastrf.FormatError, match=message) as caught:
        read_boxes(write(tmp_path / name, text), image_size=(8, 8))
    assert "\n" not in str(caught.value)


def test_what_is_no_source(tmp_path):
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    for source, message in (
        (tmp_path / "nope", "no such file"),
        (tmp_path, "neither .xml .Pascal VOC. nor .txt"),
        ("\0", "is not a path|no such file"),
        (tmp_path / "a.json", "not a text in UTF-8"),
        (np.ones((2, 3)), "shape .n, 2. or .n, 4."),
        (np.ones((0, 4)), "n > 0"),
        ("x" * 5000, "File name too long|is not a path|no such file"),
        ([["a", "b"]], "not numbers"),
    ):
        with pytest.raises(fastrf.FormatError, match=message):
            read_boxes(source)


def test_labels_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(fastrf.limits, "labels", 10)
    with pytest.raises(fastrf.LimitError, match=r"\(labels=10\) allows; raise it"):
        read_boxes(write(tmp_path / "a.xml", VOC))


# Resizing ---------------------------------------------------------------------------------------------------


def test_letterbox():
    """ultralytics: one factor, the rest split between both sides."""
    boxes = fitted(read_boxes(coco([10, 20, 30, 10])), (640, 640), None)
    assert boxes.rule == "letterbox"
    factor = 640 / 100
    assert boxes.corners.tolist() == [[10 * factor, 20 * factor + 160, 40 * factor, 30 * factor + 160]]
    assert boxes.image_width.tolist() == [640, 320]


def test_stretch():
    boxes = fitted(read_boxes(coco([10, 20, 30, 10])), (300, 300), "stretch")
    assert boxes.corners.tolist() == [[30, 120, 120, 180]]


def test_shortest():
    """torchvision: the shorter side to 800 unless the longer exceeds 1333."""
    boxes = read_boxes({"images": IMAGES, "annotations": [{"image_id": i, "bbox": [1, 2, 3, 4]} for i in (7, "b")]})
    found = fitted(boxes, (800, 1344), Resize("shortest"))
    assert found.width.tolist() == [3 * min(800 / 50, 1333 / 100), 3 * min(800 / 40, 1333 / 80)]
    assert found.x.tolist() == [1333 / 100, 1333 / 80]


def test_none_takes_unknown_images_for_the_input():
    boxes = fitted(read_boxes([[1.0, 2, 3, 4], [100, 2, 3, 4]]), (10, 20), None)
    assert boxes.rule == "none"
    assert reasons(boxes) == {"outside their image": (1, ("row 1",), False)}


def test_random_scale_is_drawn_by_image_and_seed():
    boxes = read_boxes(coco([10, 20, 30, 10], [40, 20, 15, 10]))
    first, again, other = (fitted(boxes, (50, 100), Resize(scale=(0.5, 1), draws=3, seed=s)) for s in (1, 1, 2))
    assert np.array_equal(first.corners, again.corners)
    assert not np.array_equal(first.corners, other.corners)
    factors = first.width / np.tile(boxes.width, 3)
    assert len(first) == 6
    assert factors[::2] == pytest.approx(factors[1::2])
    assert ((factors >= 0.5) & (factors <= 1)).all()
    middle = (first.corners[:, 0] + first.corners[:, 2]) / 2
    assert middle == pytest.approx(50 + (np.tile([25, 47.5], 3) - 50) * factors)


def test_random_scale_cuts_what_leaves_the_input():
    boxes = read_boxes(coco([0, 0, 5, 5], [40, 20, 20, 10]))
    found = fitted(boxes, (50, 100), Resize(scale=(4, 4)))
    assert found.corners.tolist() == [[10, 5, 90, 45]]
    assert reasons(found) == {"moved out of the input by the random scale": (1, ("annotations[0]",), False)}
    kept = fitted(boxes, (50, 100), Resize("shortest", 50, 100, scale=(4, 4)))
    assert kept.corners.tolist() == [[0, 0, 20, 20], [160, 80, 240, 120]]
    with pytest.raises(fastrf.FormatError, match="no usable box is left"):
        fitted(read_boxes(coco([0, 0, 5, 5])), (50, 100), Resize(scale=(4, 4)))


def test_rules_that_are_none():
    for wrong, message in (
        ({"rule": "nope"}, "rule 'nope' is unknown"),
        ({"scale": (2, 1)}, "is not a range"),
        ({"shortest": 9, "longest": 3}, "are not sizes"),
        ({"draws": 0}, "draws must be 1"),
    ):
        with pytest.raises(fastrf.UsageError, match=message):
            Resize(**wrong)
    with pytest.raises(fastrf.FormatError, match="holds no image sizes, which the rule 'stretch' needs"):
        fitted(read_boxes([[1, 2, 3, 4]]), (8, 8), "stretch")
