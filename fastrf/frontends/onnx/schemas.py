"""What the standard says of an operator: the function that defines it, defaults, types of outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx

from fastrf.frontends.lowering import Value
from fastrf.frontends.onnx.constants import Constant
from fastrf.frontends.onnx.registry import Call, Item

__all__ = ["default_attributes", "dtype_of_output", "with_attributes", "written_out"]

DtypeOf = Callable[[Value | Constant], np.dtype[Any]]


_DTYPES = {
    "tensor(bool)": np.bool_,
    "tensor(double)": np.float64,
    "tensor(float)": np.float32,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
}


def with_attributes(node: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """A node of a function's body with attributes of the call in the places that refer to them."""
    if not any(a.ref_attr_name for a in node.attribute):
        return node
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    del copied.attribute[:]
    for attribute in node.attribute:
        if not attribute.ref_attr_name:
            copied.attribute.append(attribute)
        elif attribute.ref_attr_name in given:
            copied.attribute.append(given[attribute.ref_attr_name])
            copied.attribute[-1].name = attribute.name
    return copied


def written_out(call: Call, dtype_of: DtypeOf) -> onnx.FunctionProto | None:
    """The function that the standard defines an operator by, or None."""
    if not onnx.defs.has(call.op, call.domain):
        return None
    schema: Any = onnx.defs.get_schema(call.op, call.version, call.domain)
    body = onnx.FunctionProto()
    if schema.has_context_dependent_function:
        types = [_type_of(item, dtype_of) for item in call.inputs]
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= call.version]
        written = (
            schema.get_context_dependent_function_with_opset_version(
                max(versions), call.node.SerializeToString(), types
            )
            if versions
            else schema.get_context_dependent_function(call.node.SerializeToString(), types)
        )
        body.ParseFromString(written)
        return body if body.node else None
    if schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= call.version]
        if versions:
            body.ParseFromString(schema.get_function_with_opset_version(max(versions)))
        else:
            body.CopyFrom(schema.function_body)
        return body if body.node else None
    return None


def _type_of(item: Item, dtype_of: DtypeOf) -> bytes:
    if not isinstance(item, Value | Constant):
        return b""
    dtype = onnx.helper.np_dtype_to_tensor_dtype(dtype_of(item))
    return bytes(onnx.helper.make_tensor_type_proto(dtype, item.full).SerializeToString())


def default_attributes(call: Call) -> list[onnx.AttributeProto]:
    """Attributes that the standard has defaults for."""
    if not onnx.defs.has(call.op, call.domain):
        return []
    schema = onnx.defs.get_schema(call.op, call.version, call.domain)
    return [a.default_value for a in schema.attributes.values() if a.default_value.name]


def dtype_of_output(call: Call, k: int, dtype_of: DtypeOf) -> np.dtype[Any]:
    """The type of an output: as stated, that of the input with the same type, or single precision."""
    if call.op == "Cast" and call.get("to"):
        return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(call.get("to")))
    if not onnx.defs.has(call.op, call.domain):
        return np.dtype(np.float32)
    schema = onnx.defs.get_schema(call.op, call.version, call.domain)
    wanted = schema.outputs[min(k, len(schema.outputs) - 1)].type_str
    allowed = next((c.allowed_type_strs for c in schema.type_constraints if c.type_param_str == wanted), [wanted])
    if len(allowed) == 1 and allowed[0] in _DTYPES:
        return np.dtype(_DTYPES[allowed[0]])
    for item, parameter in zip(call.inputs, schema.inputs, strict=False):
        if parameter.type_str == wanted and isinstance(item, Value | Constant):
            return dtype_of(item)
    return np.dtype(np.float32)
