"""Tensors of a graph that the input does not reach: their shapes always, their values where they are small."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.ops import load_op

from fastrf.errors import FormatError

__all__ = ["MAX_FOLDED", "Constant", "evaluate", "from_tensor"]

Array = npt.NDArray[Any]

#: No constant of more elements is evaluated.
MAX_FOLDED = 1 << 20


#: What reference implementations want to know.
_RUN: dict[str, Any] = {
    "log": lambda *_: None,
    "verbose": 0,
    "new_ops": None,
    "evaluator_cls": ReferenceEvaluator,
    "existing_functions": {},
}


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the input.

    `values` are there for small tensors. `weight` says that they are trained numbers, which may be any: of these only
    minus infinities are taken for what they are.
    """

    full: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Array | None = None
    weight: bool = False

    @property
    def known(self) -> npt.NDArray[np.float64]:
        """Values that no training changes, NaN elsewhere; broadcastable to `full`."""
        if self.values is None or self.values.dtype.kind in "OSUc":
            return np.full((1,) * len(self.full), np.nan)
        values = self.values.astype(np.float64)
        return np.where(np.isneginf(values), values, np.nan) if self.weight else values


def from_tensor(tensor: onnx.TensorProto, *, weight: bool) -> Constant:
    """A stored tensor; its values are read only where they are few and in the file."""
    dims = tuple(tensor.dims)
    if any(n < 0 for n in dims):
        raise FormatError(f"tensor {tensor.name!r} has a negative size in {dims}; export the model again")
    try:
        dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))
    except (KeyError, ValueError, TypeError) as error:
        raise FormatError(f"tensor {tensor.name!r} has an unknown type {tensor.data_type}") from error
    weight = weight and dtype.kind not in "iub"
    elsewhere = tensor.data_location == onnx.TensorProto.EXTERNAL
    if elsewhere or math.prod(dims) > MAX_FOLDED:
        return Constant(dims, dtype, None, weight)
    try:
        values = numpy_helper.to_array(tensor)
    except Exception as error:
        raise FormatError(f"tensor {tensor.name!r} of shape {dims} does not hold that many values") from error
    return Constant(dims, values.dtype, values, weight)


def evaluate(node: onnx.NodeProto, version: int, inputs: Sequence[Array | None]) -> list[Array]:
    """An operator applied to arrays by its reference implementation."""
    operator = load_op(node.domain, {"Scatter": "ScatterElements"}.get(node.op_type, node.op_type), version)
    run = operator(node, {**_RUN, "opsets": {node.domain: version}})
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [np.asarray(result) for result in run.run(*inputs)]
