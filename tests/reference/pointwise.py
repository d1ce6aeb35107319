"""Operators that act on single elements, of one tensor or of several that broadcast."""

import numpy as np

from tests.reference.core import Dep, axis_of, operator, rank, require, shape_of

POINTWISE = [
    "relu",
    "relu6",
    "leaky_relu",
    "prelu",
    "elu",
    "gelu",
    "silu",
    "hardswish",
    "hardsigmoid",
    "sigmoid",
    "tanh",
    "softplus",
    "mish",
    "exp",
    "log",
    "sqrt",
    "abs",
    "neg",
    "clip",
    "dropout",
    "identity",
    "pow",
    "sign",
    "floor",
    "ceil",
    "round",
    "erf",
    "sin",
    "cos",
    "reciprocal",
    "logical_not",
    "cast",
    "batch_norm",
    "celu",
    "glu_gate",
    "hardtanh",
    "rrelu",
    "rsqrt",
    "selu",
    "softsign",
    "square",
    "tan",
]
N_ARY = [
    "add",
    "sub",
    "mul",
    "div",
    "maximum",
    "minimum",
    "where",
    "elementwise",
    "compare",
    "logical_and",
    "logical_or",
]


@operator(*POINTWISE)
def pointwise(attrs: dict, x: Dep) -> Dep:
    """Element i reads element i."""
    return x.copy()


@operator(*N_ARY)
def n_ary(attrs: dict, *inputs: Dep) -> Dep:
    """Element i reads element i of every broadcast input."""
    shape = np.broadcast_shapes(*[shape_of(x) for x in inputs])
    out = np.zeros((*shape, inputs[0].shape[-1]), dtype=bool)
    for x in inputs:
        out |= np.broadcast_to(x, out.shape)
    return out


@operator("constant")
def constant(attrs: dict, x: Dep) -> Dep:
    """A tensor that depends on nothing."""
    return np.zeros((*attrs["shape"], x.shape[-1]), bool)


@operator("keep")
def keep(attrs: dict, x: Dep) -> Dep:
    """The elements at which the mask is true."""
    axes = [axis_of(a, rank(x)) for a in ([attrs["axes"]] if isinstance(attrs["axes"], int) else attrs["axes"])]
    mask = np.array(attrs["mask"], bool)
    require(mask.shape == tuple(x.shape[a] for a in axes), "keep: the mask's shape")
    out = np.zeros_like(x)
    for o in np.ndindex(shape_of(x)):
        if mask[tuple(o[a] for a in axes)]:
            out[o] = x[o]
    return out
