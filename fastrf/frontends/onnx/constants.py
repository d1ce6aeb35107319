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
from fastrf.frontends.lowering import Known, compressed
from fastrf.frontends.onnx.nodes import printable
from fastrf.system.locks import cached_property

__all__ = ["MAX_FOLDED", "Constant", "evaluate", "from_tensor", "holding", "type_proto"]

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

#: Integers from here on are not told apart in double precision.
_INEXACT = float(1 << 53)


@dataclass(frozen=True)
class Constant:
    """A tensor that does not depend on the input.

    `values` are there for small tensors. `weight` says that they are trained numbers, which may be any: of these only
    minus infinities are taken for what they are, and what is `decided` by constants that they were combined with.
    `lost` says that constants decide more of it than could be followed.
    """

    full: tuple[int, ...]
    dtype: np.dtype[Any]
    values: Array | None = None
    weight: bool = False
    decided: Known | None = None
    lost: bool = False
    name: str = ""

    @cached_property
    def known(self) -> Known:
        """Values that no training changes, NaN elsewhere; broadcastable to `full`."""
        unknown = np.full((1,) * len(self.full), np.nan)
        if self.weight and self.decided is not None:
            return self.decided
        if self.values is None or self.values.dtype.kind in "OSUc":
            return unknown
        values = self.values.astype(np.float64)
        if self.weight:
            found = compressed(np.where(np.isneginf(values), values, np.nan))
            return unknown if found is None else found
        return np.where(np.abs(values) < _INEXACT, values, np.nan) if self.dtype.kind in "iu" else values

    @cached_property
    def is_mask(self) -> bool:
        """Whether it is a stored table of weights that holds 0 and 1 alone, and both."""
        if not self.weight or self.decided is not None or self.values is None or self.values.dtype.kind in "OSUc":
            return False
        zero, one = self.values == 0, self.values == 1
        return bool(zero.any() and one.any() and (zero | one).all())


def holding(values: npt.ArrayLike, *, weight: bool = False) -> Constant:
    """A tensor of these values."""
    array = np.asarray(values)
    return Constant(array.shape, array.dtype, array, weight)


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
    name = printable(tensor.name)
    count = math.prod(dims)
    short = FormatError(f"tensor {tensor.name!r} of shape {dims} does not hold that many values")
    if not elsewhere and count > max(MAX_FOLDED, 2 * tensor.ByteSize()):
        raise short
    if elsewhere or count > MAX_FOLDED:
        return Constant(dims, dtype, None, weight, name=name)
    try:
        values = numpy_helper.to_array(tensor)
    except Exception as error:
        raise short from error
    return Constant(dims, values.dtype, values, weight, name=name)


#: The first version that references implement of operators that did not change their meaning with it.
_FIRST = {"DequantizeLinear": 19}


def evaluate(node: onnx.NodeProto, version: int, inputs: Sequence[Array | None]) -> list[Array]:
    """An operator applied to arrays by its reference implementation."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        types = [onnx.TypeProto() if a is None else type_proto(a.dtype, a.shape) for a in inputs]
        version = max(version, _FIRST.get(node.op_type, 0))
        op = {"Scatter": "ScatterElements"}.get(node.op_type, node.op_type)
        operator = load_op(node.domain, op, version, node=node, input_types=types, evaluator_cls=ReferenceEvaluator)
        run = operator(node, {**_RUN, "opsets": {node.domain: version}})
        return [np.asarray(result) for result in run.run(*inputs)]


def type_proto(dtype: np.dtype[Any], full: Sequence[int]) -> onnx.TypeProto:
    """The type of a tensor, as files have it."""
    return onnx.helper.make_tensor_type_proto(onnx.helper.np_dtype_to_tensor_dtype(dtype), full)
