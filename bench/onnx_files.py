"""ONNX files to read: the largest light model of the onnx package, one with gigabytes of weights, and a detector."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx

from bench.pages import ROOT

__all__ = ["LIGHT", "peak_mb", "write_big", "write_detector"]

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light/light_densenet121.onnx"

#: What the measured processes run; they print their peak memory in MB.
_PEAK = """
import sys
import fastrf
from bench.timing import peak_megabytes
from fastrf.frontends import onnx
fastrf.analyze("alexnet", input_shape=(3, 227, 227))
for path in sys.argv[1:]:
    print(fastrf.analyze(path).output.size, file=sys.stderr)
print(peak_megabytes())
"""


def tag(field: int, length: int) -> bytes:
    """The head of a protobuf field of `length` bytes."""
    out = bytearray([field << 3 | 2])
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*out, length])


def write_big(path: Path, megabytes: int, count: int = 8) -> None:
    """A chain of convolutions whose kernels are so many MB together, left as a hole in a sparse file."""
    channels, each = 64, (megabytes << 20) // count
    width = each // (4 * channels * channels)
    nodes = [
        onnx.helper.make_node("Conv", [f"t{k}", f"w{k}"], [f"t{k + 1}"], pads=[width // 2] * 2, kernel_shape=[width])
        for k in range(count)
    ]
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, channels, 1024])
        for name in ("t0", f"t{count}")
    ]
    small = onnx.helper.make_graph(nodes, "big", ends[:1], ends[1:]).SerializeToString()
    heads = [
        onnx.TensorProto(name=f"w{k}", data_type=onnx.TensorProto.FLOAT, dims=[channels, channels, width])
        for k in range(count)
    ]
    payload = 4 * channels * channels * width
    tensors = [head.SerializeToString() + tag(9, payload) for head in heads]
    length = len(small) + sum(len(tag(5, len(t) + payload)) + len(t) + payload for t in tensors)
    model = onnx.ModelProto(ir_version=8, opset_import=[onnx.helper.make_opsetid("", 17)]).SerializeToString()
    with path.open("wb") as file:
        file.write(model + tag(7, length) + small)
        for tensor in tensors:
            file.write(tag(5, len(tensor) + payload) + tensor)
            file.seek(payload, 1)
        file.truncate()


def write_detector(path: Path, size: int, anchors: int = 9, width: int = 16) -> int:
    """Boxes of five levels of a square image, joined along the anchors, of which it returns how many there are."""
    nodes, lines, stride, weights = [], [], 1, set()

    def conv(name: str, source: str, channels: tuple[int, int], by: int = 1) -> str:
        weights.add(channels)
        weight = f"w{channels[0]}.{channels[1]}"
        nodes.append(onnx.helper.make_node("Conv", [source, weight], [name], pads=[1] * 4, strides=[by] * 2))
        return name

    feature = conv("stem.2", conv("stem.1", "image", (width, 3), 2), (width, width), 2)
    stride = 4
    for level in range(3, 8):
        feature, stride = conv(f"level.{level}", feature, (width, width), 2), stride * 2
        boxes = conv(f"boxes.{level}", conv(f"head.{level}", feature, (width, width)), (4 * anchors, width))
        names = [f"{kind}.{level}" for kind in ("apart", "turned", "line")]
        nodes += [
            onnx.helper.make_node("Reshape", [boxes, f"shape.{level}"], names[:1]),
            onnx.helper.make_node("Transpose", names[:1], names[1:2], perm=[0, 3, 4, 1, 2]),
            onnx.helper.make_node("Reshape", [names[1], "rows"], names[2:]),
        ]
        lines.append((names[2], stride, level))
    nodes.append(onnx.helper.make_node("Concat", [name for name, _, _ in lines], ["all"], axis=1))
    shapes = {f"shape.{level}": [1, anchors, 4, -(-size // by), -(-size // by)] for _, by, level in lines}
    tensors = [onnx.numpy_helper.from_array(np.array(s), name) for name, s in {**shapes, "rows": [1, -1, 4]}.items()]
    tensors += [
        onnx.numpy_helper.from_array(np.ones((*channels, 3, 3), np.float32), f"w{channels[0]}.{channels[1]}")
        for channels in weights
    ]
    count = sum(anchors * shape[3] * shape[4] for shape in shapes.values())
    ends = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in (("image", [1, 3, size, size]), ("all", [1, count, 4]))
    ]
    graph = onnx.helper.make_graph(nodes, "detector", ends[:1], ends[1:], tensors)
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
    return count


def peak_mb(*paths: Path) -> float:
    """The peak memory of a process that analyses these files."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *map(str, paths)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return float(done.stdout)
