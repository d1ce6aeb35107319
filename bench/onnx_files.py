"""ONNX files to read: the largest light model of the onnx package, and one with gigabytes of weights in the file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx

from bench.readme import ROOT

__all__ = ["LIGHT", "peak_mb", "write_big"]

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


def peak_mb(*paths: Path) -> float:
    """The peak memory of a process that analyses these files."""
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *map(str, paths)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return float(done.stdout)
