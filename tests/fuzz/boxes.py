"""Files of boxes and of anchors for the fuzzer of readers, and what is done with them."""

from __future__ import annotations

import functools
import io
import json
import struct
from typing import Any

import numpy as np

import fastrf
from fastrf import anchors
from fastrf.anchors.levels import levels_of

from .reader import CONV, seen, the

__all__ = ["boxes", "forms", "match", "read_anchors"]

_ROWS = [[10, 20, 30, 40], [0.5, 1.5, 100, 80], [300, 200, 64, 64]]
_FORMS = {
    "anchors.yaml": "nc: 80\nanchors:\n  - [10,13, 16,30, 33,23]  # P3\n  - [30,61, 62,45, 59,119]\n",
    "anchors.py": "s = [2, 4]\nanchor_generator = dict(type='AnchorGenerator', strides=s, ratios=[0.5, 1.0],\n"
    "    octave_base_scale=4, scales_per_octave=3)\n",
    "anchors.txt": "AnchorGenerator(sizes=((32,), (64,)), aspect_ratios=((0.5, 1.0),) * 2)",
    "anchors.json": "[[[10, 13], [16, 30]], [[30, 61], [62, 45]]]",
}
_LFFD = (
    "param_receptive_field_stride = [2, 4]\nparam_receptive_field_center_start = [1, 3]\n"
    "param_bbox_small_list = [10, 20]\nparam_bbox_large_list = [20, 40]\n"
)


def _npy(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, np.asarray(values, float))
    return out.getvalue()


def boxes() -> list[dict[str, bytes]]:
    images = [{"id": 7, "width": 640, "height": 480}, {"id": "b", "width": 320, "height": 320}]
    marks = [{"image_id": 7, "bbox": row, "category_id": 1, "iscrowd": k % 2} for k, row in enumerate(_ROWS)]
    parts = "".join(
        f"<object><name>c</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
        "</bndbox></object>"
        for x, y, w, h in _ROWS
    )
    xml = f"<annotation><size><width>640</width><height>480</height></size>{parts}</annotation>"
    png = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">II", 640, 480) + b"\x08\x02"
    jpg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + b"\3"
    labels = b"0 0.5 0.5 0.25 0.5\n1 0.1 0.1 0.3 0.1 0.3 0.4\n"
    table = "image,xmin,ymin,xmax,ymax,width,height\na,1,2,30,40,640,480\nb,5,5,60,70,320,320\n"
    return [
        {"boxes.json": json.dumps({"images": images, "annotations": marks}).encode()},
        {"boxes.json": json.dumps(marks).encode()},
        {"boxes.xml": xml.encode()},
        {"boxes.csv": table.encode()},
        {"boxes.csv": b"x,y,w,h\n" + b"".join(b"%g,%g,%g,%g\n" % tuple(row) for row in _ROWS)},
        {"boxes.npy": _npy(_ROWS)},
        {"boxes.npy": _npy([row[2:] for row in _ROWS])},
        {
            "boxes/labels/a.txt": labels,
            "boxes/images/a.jpg": jpg,
            "boxes/labels/b.txt": labels,
            "boxes/labels/b.png": png,
        },
        {
            "data.yaml": b"path: boxes  # root\ntrain: [images/a, list.txt]\nnames:\n  0: cat\n",
            "boxes/list.txt": b"./images/b.png\n",
            "boxes/images/a/a.jpg": jpg,
            "boxes/labels/a/a.txt": labels,
            "boxes/images/b.png": png,
            "boxes/labels/b.txt": labels,
        },
    ]


@functools.cache
def _levels() -> Any:
    layers = [{"name": f"p{k}", **CONV, "stride": 2} for k in range(2)]
    return fastrf.analyze({"input_shape": [3, 64, 64], "layers": layers})


def match() -> None:
    boxes = anchors.read_boxes(
        the("boxes.json", "boxes.xml", "boxes.csv", "boxes.npy", "data.yaml", "boxes"), image_size=(480, 640)
    )
    told = [repr(boxes), *map(str, boxes.rejected)]
    assert len(boxes.corners) == len(boxes) > 0
    if len(boxes) < 2000:
        report = anchors.report(_levels(), ["p0", "p1"], [[(8, 8)], [(16, 16)]], boxes)
        told += [str(report), report.to_markdown(), report.to_csv()]
        report.to_json()
    seen(*told)


def forms() -> list[dict[str, bytes]]:
    return [*({name: text.encode()} for name, text in _FORMS.items()), {"anchors.py": _LFFD.encode()}]


def read_anchors() -> None:
    levels = levels_of(_levels(), ["p0", "p1"])
    found = anchors.read_anchors(the(*_FORMS), levels)
    seen(repr(found), *(found.on(levels).to_form(form) for form in ("yolo", "mmdetection")))
