"""Which sizes of an input fit a file, and what is read anew for every size."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf.queries.sizes.answers import AxisSizes
from fastrf.queries.sizes.readings import learned


def a_file(target, size):
    """A map of half the size, spread to a target or to twice its size, and a skip; the file's input has a size."""
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper, onnx.TensorProto.FLOAT
    tensors = [
        onnx.numpy_helper.from_array(np.array([1, 1, 2], np.float32), "twice"),
        onnx.numpy_helper.from_array(np.array([1, 2, target or 1], np.int64), "target"),
    ]
    nodes = [
        make.make_node("MaxPool", ["x"], ["half"], kernel_shape=[2], strides=[2], ceil_mode=1),
        make.make_node("Resize", ["half", "", "", "target"] if target else ["half", "", "twice"], ["wide"]),
        make.make_node("Add", ["wide", "x"], ["y"]),
    ]
    ends = [make.make_tensor_value_info(name, kind, [1, 2, size if name == "x" else None]) for name in "xy"]
    return make.make_model(make.make_graph(nodes, "skip", ends[:1], ends[1:], tensors))


EVEN = {1, *range(2, 60, 2)}


@pytest.mark.parametrize(
    ("target", "stated", "wanted"), [(None, "n", EVEN), (None, 8, {8}), (8, 8, {8}), (8, "n", {1, 8}), (None, 10, EVEN)]
)
def test_files_fit_where_they_can_be_read(target, stated, wanted):
    sizes = fastrf.sizes(a_file(target, stated), (2, 8))
    assert {n for n in range(1, 60) if sizes.axes[0].fits(n)} == wanted
    if stated == 8:
        assert sizes.assumes[-1].startswith("the file fixes axis 1 of 'x' at 8")
        assert sizes.axes[0].why(10).told == "the file fixes it at 8"


def test_a_size_given_fits_though_no_other_does():
    def read(size):
        told = "node 'wide' (add): no"
        return fastrf.load([fastrf.conv(2, 3), fastrf.layer("relu")], (2, size)) if size == 30 else told

    found = learned(read, "input", 1, 30, (1, None))
    assert AxisSizes(1, 30, found.pieces).progressions == ((30, 31, 1),)
