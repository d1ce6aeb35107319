"""Surrogates of ATen operators that act on single elements or reduce axes, for `linearise`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from tests.autograd.core import (
    CASTS,
    CONSTANTS,
    PASSED,
    POINTWISE,
    PREDICATES,
    SKIPPED,
    Args,
    UnknownOperatorError,
    axes_of,
    dependent,
    extent,
    finite,
    first,
    handles,
    mixed,
    multilinear,
    support,
)

# --------------------------------------------------------------------------------------------- plain operators


@handles(*PASSED)
def passed(op: Any, args: Args) -> Any:
    """Run the operator itself; constant operands are replaced by their supports."""
    if any(dependent(v) for k in ("index", "indices", "mask", "repeats") for v in pytree.tree_leaves(args.get(k))):
        raise UnknownOperatorError(f"{op}: data-dependent {[k for k in args if k.startswith('ind')] or 'mask'}")

    def prepare(value: Any) -> Any:
        floating = isinstance(value, Tensor) and value.is_floating_point()
        return support(value) if floating and not value.requires_grad else value

    prepared = pytree.tree_map(prepare, args)
    if "dtype" in prepared:
        prepared["dtype"] = None
    return op(**prepared)


@handles("view", "_unsafe_view", "reshape", "view_as", "reshape_as")
def reshaped(op: Any, args: Args) -> Tensor:
    """Strides of surrogates may differ from the model's: views become reshapes."""
    if "dtype" in args:
        raise UnknownOperatorError(f"{op}: reinterprets bits")
    shape = next((args[name] for name in ("size", "shape") if name in args), None)
    return args["self"].reshape(args["other"].shape if shape is None else shape)


@handles("copy")
def copied(op: Any, args: Args) -> Tensor:
    """Only the source matters (the functional operator has no derivative of its own)."""
    source = args["src"] if dependent(args["src"]) else support(args["src"])
    return source.expand(args["self"].shape)


@handles(*CASTS)
def cast(op: Any, args: Args) -> Any:
    """Identity: dependent tensors stay float64."""
    value = first(args) * 1
    return (value, torch.ones(value.shape)) if op._schema.name == "aten::native_dropout" else value


@handles("one_hot")
def one_hot(op: Any, args: Args) -> Tensor:
    """Every class reads the index."""
    return args["self"].unsqueeze(-1).expand(*args["self"].shape, args["num_classes"]) + 0


@handles(*CONSTANTS)
def constant(op: Any, args: Args) -> Any:
    """Only the shape of the operand matters."""
    return op(**pytree.tree_map(lambda v: v.detach() if isinstance(v, Tensor) else v, args))


@handles(*SKIPPED)
def skipped(op: Any, args: Args) -> None:
    """Run-time checks of the values or types, which linearising changes."""


@handles(*POINTWISE)
def pointwise(op: Any, args: Args) -> Any:
    """Sum of the dependent operands; the operator itself, at zeros, tells where a constant remains."""

    def probe(value: Any) -> Any:
        if dependent(value):
            return torch.where(value.detach().isneginf(), -torch.inf, 0.0).double()
        return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value

    operands = [finite(v) for v in args.values() if dependent(v)]
    rest = support(op(**{k: probe(v) for k, v in args.items()}))
    if op._schema.name.startswith("aten::log"):  # minus infinity of a zero that stands for any number
        rest = torch.where(rest.isneginf() & (sum(operands).detach() > 0), 1.0, rest)
    return sum(operands, rest)


@handles(*PREDICATES)
def predicate(op: Any, args: Args) -> Tensor:
    """Sum of the dependent operands, as a number."""
    operands = [v for v in args.values() if isinstance(v, Tensor)]
    ones = torch.ones(torch.broadcast_shapes(*(v.shape for v in operands)))
    return sum((finite(v) for v in operands if dependent(v)), ones)


@handles(*[f"{prefix}{n}d" for prefix in ("upsample_nearest", "_upsample_nearest_exact") for n in (1, 2, 3)])
def nearest(op: Any, args: Args) -> Tensor:
    """The sample that the forward pass takes: the backward pass of some sizes ignores the scale factors."""
    x = args["input"] if "input" in args else args["self"]
    numbers = torch.arange(x.numel(), dtype=torch.float64).reshape(x.shape)
    rest = [v for k, v in args.items() if k not in ("input", "self")]
    return x.reshape(-1)[op(numbers, *rest).long()]


@handles("where")
def where(op: Any, args: Args) -> Tensor:
    """A constant condition chooses; a computed one adds its own dependency."""
    condition, a, b = (args[k] for k in ("condition", "self", "other"))
    a, b = (v if dependent(v) else support(v) for v in (a, b))
    if not dependent(condition):
        return torch.where(condition, a, b)
    return finite(condition) + finite(a) + finite(b) + 1


@handles("mul", "multiply")
def mul(op: Any, args: Args) -> Tensor:
    """Product, broadcast."""
    return multilinear(torch.mul, args["self"], args["other"])


@handles("div", "divide", "true_divide")
def div(op: Any, args: Args) -> Tensor:
    """Quotient: a constant divisor only broadcasts."""
    other = args["other"] if dependent(args["other"]) else torch.ones_like(support(args["other"]))
    return multilinear(torch.mul, args["self"], other)


@handles("addcmul", "addcdiv")
def addcmul(op: Any, args: Args) -> Tensor:
    """Sum with a product."""
    start = args["self"] if dependent(args["self"]) else support(args["self"])
    return start + multilinear(torch.mul, args["tensor1"], args["tensor2"])


@handles("glu")
def glu(op: Any, args: Args) -> Tensor:
    """One half times the sigmoid of the other."""
    a, b = args["self"].chunk(2, args["dim"])
    return multilinear(torch.mul, a, b + 1)


# --------------------------------------------------------------------------------------------- reductions


@handles("amax", "amin", "max", "min", "logsumexp", "linalg_vector_norm", "norm", "prod", "var", "std", "any", "all",
         "argmax", "argmin", "median", "nanmedian", "var_mean", "std_mean", "count_nonzero", "nansum")  # fmt: skip
def reduction(op: Any, args: Args) -> Any:
    """Every element of the reduced axes; a variance or argmax of one element is a constant."""
    if "other" in args:
        return pointwise(op, args)
    x, axes = finite(first(args)), axes_of(args, first(args).ndim)
    name = op._schema.name.removeprefix("aten::")
    result = x.sum(axes, keepdim=bool(args.get("keepdim", False))) if axes else x * 1
    single = torch.zeros(result.shape) if extent(x, axes) <= 1 else result
    if name in {"var_mean", "std_mean"}:
        return single, result
    if len(op._schema.returns) == 2:
        return result, single
    return single if name in {"var", "std", "argmax", "argmin"} else result


@handles("topk", "sort", "kthvalue", "argsort", "mode", "msort")
def ordered(op: Any, args: Args) -> Any:
    """Every element of the axis decides, values as well as places."""
    dim = args.get("dim", -1) if op._schema.name != "aten::msort" else 0
    size = args["k"] if op._schema.name == "aten::topk" else 1
    total = finite(args["self"]).sum(dim, keepdim=True)
    if op._schema.name in {"aten::kthvalue", "aten::mode"}:
        total = total if args["keepdim"] else total.squeeze(dim)
        return total, total * 1
    shape = list(args["self"].shape)
    shape[dim] = size if op._schema.name == "aten::topk" else shape[dim]
    total = total.expand(shape)
    return total if len(op._schema.returns) == 1 else (total, total * 1)


@handles("cumprod", "logcumsumexp", "cummax", "cummin")
def cumulative(op: Any, args: Args) -> Any:
    """As cumsum."""
    total = finite(args["self"]).cumsum(args["dim"])
    return total if len(op._schema.returns) == 1 else (total, total * 1)


@handles("softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax")
def softmax(op: Any, args: Args) -> Tensor:
    """See `mixed`."""
    return mixed(args["self"], args["dim"], logarithm="log" in op._schema.name)


@handles("gather")
def gather(op: Any, args: Args) -> Tensor:
    """With computed indices the whole axis may be read."""
    x, dim, index = args["self"], args["dim"], args["index"]
    if not dependent(index):
        return op(x, dim, index)
    total = finite(x).sum(dim, keepdim=True) if dependent(x) else torch.ones_like(x).sum(dim, keepdim=True)
    window = tuple(slice(None) if a == dim % x.ndim else slice(0, n) for a, n in enumerate(index.shape))
    return total[window] + index


@handles("index_select", "index")
def picked(op: Any, args: Args) -> Tensor:
    """Computed places along axes: they decide, and all along these axes may be read."""
    x, shape = args["self"], list(args["self"].shape)
    indices = args["indices"] if "indices" in args else [None] * (args["dim"] % x.ndim) + [args["index"]]
    if not any(map(dependent, indices)):
        return passed(op, args)
    axes = [k for k, index in enumerate(indices) if index is not None]
    wide = torch.broadcast_shapes(*(indices[k].shape for k in axes))
    first = axes[0] if axes == list(range(axes[0], axes[-1] + 1)) else 0
    rest = [n for k, n in enumerate(shape) if k not in axes]
    total = finite(x).sum(axes) if dependent(x) else torch.ones(rest, dtype=torch.float64)
    total = total.reshape(*rest[:first], *(1 for _ in wide), *rest[first:])
    behind = len(rest) - first
    places = [indices[k].reshape(*indices[k].shape, *(1,) * behind) for k in axes if dependent(indices[k])]
    result = sum(places, total)
    return result.expand(*rest[:first], *wide, *rest[first:]) + 0


@handles("index_put")
def put(op: Any, args: Args) -> Tensor:
    """At computed places anything may be put anywhere."""
    if not any(map(dependent, args["indices"])):
        return passed(op, args)
    given = [args["self"], args["values"], *args["indices"]]
    return sum(finite(v).sum() for v in given if dependent(v)).expand(args["self"].shape) + 0


@handles("histc")
def counted(op: Any, args: Args) -> Tensor:
    """Every count reads every element."""
    return args["self"].sum().expand(args["bins"]) + 0


@handles("_grouped_mm", "transformers::grouped_mm_fallback")
def grouped(op: Any, args: Args) -> Tensor:
    """Rows by one of several matrices each, which the ends of the groups decide."""
    rows, matrices, ends = list(args.values())[:3]
    if dependent(matrices) or matrices.ndim != 3 or rows.ndim != 2:
        raise UnknownOperatorError(f"{op}: computed matrices")
    result = finite(rows).sum(1, keepdim=True).expand(len(rows), matrices.shape[2])
    return result + (ends.sum() if dependent(ends) else 0)


@handles("cdist", "_cdist_forward")
def distances(op: Any, args: Args) -> Tensor:
    """Each row of one matrix against each row of another."""
    first, second = args["x1"], args["x2"]
    parts = [finite(first).sum(-1)[..., :, None]] if dependent(first) else []
    parts += [finite(second).sum(-1)[..., None, :]] if dependent(second) else []
    return sum(parts, torch.zeros(first.shape[-2], second.shape[-2]))


@handles("mse_loss")
def loss(op: Any, args: Args) -> Tensor:
    """Everything, or each element by itself."""
    given = [args[name] for name in ("self", "target") if dependent(args[name])]
    result = sum((finite(v) for v in given), torch.zeros(()))
    return result if args["reduction"] == 0 else result.sum()


@handles("real", "imag", "view_as_complex")
def part(op: Any, args: Args) -> Tensor:
    """A complex number is kept as one element."""
    x = finite(args["self"])
    return x.sum(-1) if op._schema.name == "aten::view_as_complex" else x * 1


@handles("embedding")
def embedding(op: Any, args: Args) -> Tensor:
    """A table looked up by a computed index gives the index; by a constant index the row."""
    weight, indices = args["weight"], args["indices"]
    if not dependent(indices):
        return op(weight, indices)
    return indices.unsqueeze(-1).expand(*indices.shape, weight.shape[1]) + 1


@handles("cosine_similarity")
def cosine_similarity(op: Any, args: Args) -> Tensor:
    """Both operands over the axis."""
    a, b = torch.broadcast_tensors(args["x1"], args["x2"])
    return sum((v.sum(args["dim"]) for v in (a, b) if v.requires_grad), torch.zeros(()))


# --------------------------------------------------------------------------------------------- normalisation


def coupled_over(x: Tensor, axes: Sequence[int], bias: Any) -> Tensor:
    """A mean-subtracting normalisation over some axes; over one element it is a constant."""
    shift = 0.0 if bias is None else 1.0
    if extent(x, axes) == 1:
        return torch.full(x.shape, shift, dtype=torch.float64)
    return x + x.sum(list(axes), keepdim=True) + shift


def scaled(y: Tensor, weight: Any, axis: int | None = None) -> Tensor:
    """A scale along one axis, or the last ones: where it is zero, only the bias is left."""
    if weight is None or bool(weight.all()):
        return y
    used = support(weight)
    used = used if axis is None else used.reshape([-1 if k == axis else 1 for k in range(y.ndim)])
    return y * used + (1 - used)


@handles("layer_norm", "rms_norm")
def layer_norm(op: Any, args: Args) -> Tensor:
    """Over the last axes; the root mean square does not couple a structural zero."""
    x = finite(args["input"])
    axes = list(range(x.ndim - len(args["normalized_shape"]), x.ndim))
    if op._schema.name == "aten::rms_norm":
        return scaled(x + support(x) * x.sum(axes, keepdim=True), args["weight"])
    return scaled(coupled_over(x, axes, args["bias"]), args["weight"])


@handles("group_norm", "instance_norm")
def group_norm(op: Any, args: Args) -> Tensor:
    """Over a group of channels, or one channel, and all places."""
    x = finite(args["input"])
    if not args.get("use_input_stats", True):
        return scaled(x + 1, args["weight"], 1)
    groups = args.get("num_groups", x.shape[1])
    grouped = x.reshape(x.shape[0], groups, -1)
    return scaled(coupled_over(grouped, [2], args["bias"]).reshape(x.shape), args["weight"], 1)


@handles("batch_norm", "_native_batch_norm_legit_no_training", "_native_batch_norm_legit",
         "_native_batch_norm_legit_functional", "native_batch_norm", "cudnn_batch_norm")  # fmt: skip
def batch_norm(op: Any, args: Args) -> Any:
    """Pointwise with frozen statistics, else coupled over all axes but the channel."""
    x = finite(first(args))
    training = args.get("training", args.get("train", False)) or "running_mean" not in args
    y = coupled_over(x, [a for a in range(x.ndim) if a != 1], args["bias"]) if training else x + 1
    y = scaled(y, args["weight"], 1)
    extra = len(op._schema.returns) - 1
    return (y, *(torch.zeros(0) for _ in range(extra))) if extra else y
