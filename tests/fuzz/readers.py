"""Every reader of files: what a good case looks like, and what is done with it when it is spoilt."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastrf

from . import boxes
from .reader import CONV, Reader, seen, the

__all__ = ["READERS"]


# Networks ------------------------------------------------------------------------------------------------------

NETWORKS: tuple[dict[str, Any], ...] = (
    {
        "name": "branches",
        "input_shape": [3, 12, 10],
        "layers": [
            {"name": "stem", **CONV, "stride": 2, "scope": ["body"]},
            {"name": "rows", **CONV, "kernel_size": [1, 3], "padding": "same", "groups": 2},
            {"name": "columns", **CONV, "dilation": 2, "padding": [2, 2], "inputs": ["stem"]},
            {"name": "sum", "op": "add", "inputs": ["rows", "columns"]},
            {"name": "up", "op": "resize", "scale": 2, "mode": "linear"},
            {"name": "cut", "op": "slice", "axis": 1, "start": 1, "stop": 9, "step": 2},
            {"name": "flat", "op": "flatten"},
            {"name": "end", "op": "linear", "out_features": 5},
        ],
        "outputs": ["end", "up"],
    },
    {
        "input_shape": {"a": [2, 8], "b": [2, 8]},
        "channel_axis": {"a": 0, "b": 0},
        "layers": [
            {"name": "c", "op": "concat", "axis": 0, "inputs": ["a", "b"]},
            {"name": "p", "op": "pad", "padding": [[0, 0], [3, 2]], "mode": "reflect"},
            {"name": "r", "op": "reshape", "shape": [2, 2, 13]},
            {"name": "t", "op": "permute", "order": [2, 0, 1]},
            {"name": "s", "op": "softmax", "axis": 0},
        ],
    },
    {"conv1": [11, 4, 0], "pool1": [3, 2, 0], "conv2": [5, 1, 2, 2]},
)


def _toml(spec: dict[str, Any]) -> str:
    def told(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {told(item)}" for key, item in value.items()) + "}"
        return json.dumps(value)

    top = [f"{key} = {told(value)}" for key, value in spec.items() if key != "layers"]
    layers = [
        "[[layers]]\n" + "\n".join(f"{k} = {told(v)}" for k, v in layer.items()) for layer in spec.get("layers", ())
    ]
    return "\n".join([*top, *layers])


def _specs() -> list[dict[str, bytes]]:
    return [
        *({"net.json": json.dumps(spec).encode()} for spec in NETWORKS),
        *({"net.toml": _toml(spec).encode()} for spec in NETWORKS),
        {"net.json": json.dumps(NETWORKS[0]["layers"]).encode()},
    ]


def _analyse() -> None:
    name = the("net.json", "net.toml", "net.onnx", "net.pt2")
    text = Path(name).read_bytes() if Path(name).is_file() else b""
    shape = None if re.search(b"layers|onnx|models", text) or not text else (3, 200, 200)
    analysis = fastrf.analyze(name, shape, targets=None)
    summary = analysis.summary()
    seen(str(summary), summary.to_csv(), summary.to_markdown())
    summary.to_json()


@functools.cache
def _program() -> bytes:
    import torch

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = torch.nn.Conv1d(2, 2, 3)
            self.register_buffer("order", torch.tensor([3, 1, 0, 2]), persistent=False)

        def forward(self, x):
            return torch.nn.functional.pad(torch.softmax(self.conv(x)[:, :, self.order], -1), (1, 1))

    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Net().eval(), (torch.zeros(1, 2, 6),)), buffer)
    return buffer.getvalue()


@functools.cache
def _programs() -> list[dict[str, bytes]]:
    Path("seed.pt2").write_bytes(_program())
    fastrf.load("seed.pt2")
    Path("seed.pt2").unlink()
    return [{"net.pt2": _program()}]


@dataclass(frozen=True)
class _Onnx(Reader):
    def make(self, rng: random.Random, folder: Path) -> None:
        from tests.onnx_oracle.mutation import mutant

        (folder / "net.onnx").write_bytes(mutant(rng))


# Fields --------------------------------------------------------------------------------------------------------


@functools.cache
def _fields() -> list[dict[str, bytes]]:
    found = []
    for spec, node in ((NETWORKS[0], "up"), (NETWORKS[0], "flat"), (NETWORKS[1], "p")):
        with open("seed.npz", "wb"):
            pass
        fastrf.analyze(spec)[node].save("seed.npz")
        found.append({"field.npz": Path("seed.npz").read_bytes()})
        Path("seed.npz").unlink()
    return found


def _ask() -> None:
    field = fastrf.load_field("field.npz")
    seen(repr(field), field.name, *field.approximate_at)
    questions: list[Callable[[], Any]] = [
        lambda: (field.size, field.stride, field.start, field.padding, field.size_range, field.center),
        field.halo,
        lambda: [field.phases(axis) for axis in range(len(field.pixel_shape))],
        lambda: field.mask((0,) * len(field.position_shape)),
        lambda: field.neuron_mask((0,) * len(field.shape)),
        lambda: field.intervals(0),
        field.boxes,
        field.areas,
        field.coverage,
        lambda: field.clipped_share,
        field.to_csr,
        lambda: field.projective().areas(),
        lambda: field.save("again.npz"),
    ]
    for question in questions:
        try:
            question()
        except fastrf.FastRFError as error:
            seen(str(error))


# Candidates and tables -----------------------------------------------------------------------------------------


_CLASSES = "Genotype(normal=[('skip_connect', 0)], normal_concat=range(2, 6), reduce=[], reduce_concat=[2])"


def _lines() -> list[dict[str, bytes]]:
    cell = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    lines = [
        {"id": "a", "source": NETWORKS[2], "input_shape": [3, 200, 200]},
        {"id": "b", "source": "net.json"},
        {"space": "nasbench201", "arch": cell},
        {"space": "darts", "arch": _CLASSES},
        {
            "space": "nasbench101",
            "arch": {"matrix": [[0, 1, 1], [0, 0, 1], [0, 0, 0]], "ops": ["input", "conv1x1-bn-relu", "output"]},
        },
        {"space": "ofa", "arch": {"ks": [3] * 20, "e": [4] * 20, "d": [4] * 5}},
        NETWORKS[1],
        "resnet18",
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    return [{"lines.jsonl": text, "net.json": json.dumps(NETWORKS[0]).encode()}]


def _sweep_lines() -> None:
    from fastrf.sweeps.candidates import candidates_of

    given = candidates_of(["lines.jsonl"], None, 0)
    result = fastrf.sweep(given, (3, 32, 32), ["size", "area_max"], workers=1, output="table.csv", progress=False)
    assert len(result) == len(given)
    seen(Path("table.csv").read_text(), str(result))
    assert result.to_rows() is not None


def _some() -> Any:
    return fastrf.spaces.NASBench201().sample(12, 0)


@functools.cache
def _parts() -> list[dict[str, bytes]]:
    """An interrupted sweep, and finished ones."""
    from fastrf.sweeps.parts import Parts
    from fastrf.sweeps.run import work_of

    work = work_of(_some(), None, ["size"], None)
    parts = Parts("seed.parquet", work.manifest(), work.schema, False)
    for start in (0, 4, 8):
        parts.write(start, [work.run(start, start + 3)])
    folder = {f"t.parquet.parts/{path.name}": path.read_bytes() for path in parts.folder.iterdir()}
    parts._remove()
    found = [{**folder, "t.parquet.parts/notes": b"precious"}]
    for ending in ("parquet", "arrow"):
        fastrf.sweep(_some(), metrics=["size"], output=f"seed.{ending}", progress=False)
        found.append({f"t.{ending}": Path(f"seed.{ending}").read_bytes()})
        Path(f"seed.{ending}").unlink()
    return found


def _resume() -> None:
    name = the("t.parquet.parts", "t.parquet", "t.arrow").removesuffix(".parts")
    result = fastrf.sweep(_some(), metrics=["size"], output=name, resume=True, progress=False)
    seen(str(result))
    result.to_rows()


def _masks() -> Any:
    return fastrf.analyze([fastrf.conv(2, 3)], (1, 6, 5)).output


@functools.cache
def _stores() -> list[dict[str, bytes]]:
    import shutil

    _masks().to_zarr("seed.zarr", chunks=4)
    (Path("seed.zarr") / "c" / "1" / "0" / "0").unlink()
    found = {f"m{path.as_posix()[4:]}": path.read_bytes() for path in Path("seed.zarr").rglob("*") if path.is_file()}
    shutil.rmtree("seed.zarr")
    return [found]


def _resume_store() -> None:
    array = _masks().to_zarr("m.zarr", chunks=4, resume=True)
    assert array.shape == (12, 6, 5)


def _locks() -> list[dict[str, bytes]]:
    return [{"rf.lock.json": fastrf.Lock.of(_checked()).to_text().encode()}]


def _rules() -> list[dict[str, bytes]]:
    told = """rules = ["a.size >= 3 ", "*.exact == true", {rule = "'up'.size[0] < a.stride * 4", why = "so"}]
[anchors]
anchors = "yolov5"
levels = ["a"]
threshold = 4.0
[boxes]
file = "x.json"
"""
    return [{"rules.toml": told.encode()}]


@functools.cache
def _checked() -> fastrf.Analysis:
    layers = [fastrf.conv(2, 3, name="a"), fastrf.conv_transpose(2, 3, stride=2, name="up"), {"op": "global_avg_pool"}]
    return fastrf.analyze(layers, (1, 8, 7))


def _check() -> None:
    against = "rf.lock.json" if Path("rf.lock.json").exists() else None
    rules = "rules.toml" if Path("rules.toml").exists() else ()
    result = fastrf.check(_checked(), rules, against)
    for form in ("table", "json", "junit", "github", "sarif", "markdown"):
        result.to(form)


#: By name, programs where PyTorch is there; the weights make a run of 10,000 cases take ten minutes on one core.
READERS = {
    "spec": Reader(_specs, _analyse, 6),
    "onnx": _Onnx(list, _analyse, 4),
    **({"pt2": Reader(_programs, _analyse, 0.8, _programs)} if importlib.util.find_spec("torch") else {}),
    "field": Reader(_fields, _ask, 6),
    "boxes": Reader(boxes.boxes, boxes.match, 6),
    "anchors": Reader(boxes.forms, boxes.read_anchors, 4),
    "lines": Reader(_lines, _sweep_lines, 3),
    "parts": Reader(_parts, _resume, 3),
    "zarr": Reader(_stores, _resume_store, 1),
    "lock": Reader(_locks, _check, 2),
    "rules": Reader(_rules, _check, 2),
}
