"""Reading ONNX files: `python -m bench.onnx_files [--smoke]`.

Reading and analysing the largest light model of the onnx package, warm, and the peak memory of a model with 2 GB of
weights in the file, measured in a process of its own beside one that imports the same packages and reads no model.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

import fastrf
from bench.timing import median_seconds

LIGHT = Path(onnx.__file__).parent / "backend/test/data/light/light_densenet121.onnx"

#: What the measured processes run; they print their peak memory in MB.
_PEAK = """
import resource, sys
import fastrf
from fastrf.frontends import onnx
fastrf.analyze("alexnet", input_shape=(3, 227, 227))
for path in sys.argv[1:]:
    print(fastrf.analyze(path).output.size, file=sys.stderr)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
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
    done = subprocess.run([sys.executable, "-c", _PEAK, *map(str, paths)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    smoke = parser.parse_args().smoke
    ms = 1e3 * median_seconds(lambda: fastrf.analyze(str(LIGHT)), 1 if smoke else 7)
    nodes = len(onnx.load(LIGHT).graph.node)
    print(f"{LIGHT.name}: {nodes} nodes, read and analysed in {ms:.0f} ms warm (bar 1000)")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.onnx"
        write_big(path, 64 if smoke else 2048)
        idle, peak = peak_mb(), peak_mb(path)
        print(
            f"{path.stat().st_size / (1 << 30):.2f} GiB of weights: peak {peak:.0f} MB (bar 300), "
            f"{peak - idle:.0f} MB above the imports alone"
        )
        assert np.isfinite(peak)


if __name__ == "__main__":
    main()
