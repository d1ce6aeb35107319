"""The operators in torch (float64, positive weights): dependencies by gradients, to test the reference against."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from tests.torch_reference.core import UnsupportedError
from tests.torch_reference.dense import (
    attention,
    channels_linear,
    cumulative,
    dynamic_gather,
    grid_sample,
    group_norm,
    keep,
    layer_norm,
    recurrent,
    reduction,
    squeeze_excitation,
)
from tests.torch_reference.shape import (
    center_crop,
    depth_to_space,
    numbered,
    of_slice,
    pad,
    scatter,
    space_to_depth,
    tuple_split,
)
from tests.torch_reference.windows import (
    adaptive,
    conv,
    conv_transpose,
    fold,
    fold_args,
    only_2d,
    pool,
    resize,
    window_partition,
    window_reverse,
)

__all__ = ["OPS", "SUBSET", "UnsupportedError", "dependencies"]

# The effect of a perturbation is looked at rather than the gradient, which flows to one element only.
BY_PERTURBATION = {"max_pool": 1, "adaptive_max_pool": 1, "global_max_pool": 1, "max": 1, "min": -1, "cummax": 1}
BY_PERTURBATION |= {"cummin": -1, "maximum": 1, "minimum": -1}
# Over-approximated by definition: the gradient may only be a subset.
SUBSET = {"topk", "sort", "dynamic_gather", "grid_sample"}
FUNCTIONAL = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "celu",
    "selu",
    "gelu",
    "silu",
    "hardswish",
    "hardsigmoid",
    "rrelu",
    "softplus",
    "softsign",
    "mish",
]
ELEMENTARY = [
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "square",
    "abs",
    "neg",
    "erf",
    "sin",
    "cos",
    "tan",
    "reciprocal",
    "sigmoid",
    "tanh",
]
POINTWISE = {
    **{name: getattr(functional, name) for name in FUNCTIONAL},
    **{name: getattr(torch, name) for name in ELEMENTARY},
    "hardtanh": lambda x: functional.hardtanh(x, 0, 9),
    "clip": lambda x: x.clamp(0, 9),
    "identity": lambda x: x,
    "dropout": lambda x: functional.dropout(x, 0.5, False),
    "pow": lambda x: x**3,
    "prelu": lambda x: functional.leaky_relu(x, 0.25),
    "batch_norm": lambda x: 3 * x + 1,
}
OPS: dict[str, Callable[..., Tensor]] = {
    **{name: lambda _, x, f=f: f(x) for name, f in POINTWISE.items()},
    **{op: reduction(op) for op in ("sum", "mean", "max", "min", "prod", "std", "var", "norm", "logsumexp")},
    **{op: cumulative(op) for op in ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp")},
    **{op: lambda a, x, op=op: pool(a, x, op) for op in ("max_pool", "avg_pool", "lp_pool")},
    **{op: adaptive(op) for op in ("adaptive_avg_pool", "adaptive_max_pool")},
    "global_avg_pool": lambda a, x: keep(a, list(range(1, x.ndim)), x, torch.mean),
    "global_max_pool": lambda a, x: keep(a, list(range(1, x.ndim)), x, torch.amax),
    "conv": lambda a, x: conv(a, x, a["out_channels"], a.get("groups", 1)),
    "depthwise_conv": lambda a, x: conv(a, x, len(x) * a.get("multiplier", 1), len(x)),
    "window": lambda a, x: conv(a, x, len(x), 1),
    "conv_transpose": conv_transpose,
    "unfold": lambda a, x: only_2d(x, 3, lambda: functional.unfold(x, **fold_args(a))),
    "fold": fold,
    "local_response_norm": lambda a, x: functional.local_response_norm(x[None], a["size"], 1.0)[0],
    "linear": channels_linear,
    "matmul": lambda _, x, y: torch.matmul(x, y),
    "einsum": lambda a, *xs: torch.einsum(a["equation"], *xs),
    "softmax": lambda a, x: x.softmax(a["axis"]),
    "log_softmax": lambda a, x: x.log_softmax(a["axis"]),
    "softmin": lambda a, x: functional.softmin(x, a["axis"]),
    "attention": attention,
    "layer_norm": layer_norm,
    "rms_norm": lambda a, x: x / (x.square().mean(a.get("axes", [-1]), True) + 0.1).sqrt(),
    "l2_normalize": lambda a, x: x / (x.square().sum(a.get("axes", [-1]), True) + 0.1).sqrt(),
    "group_norm": lambda a, x: group_norm(a["groups"], x),
    "instance_norm": lambda _, x: group_norm(len(x), x),
    "recurrent": recurrent,
    "squeeze_excitation": squeeze_excitation,
    "add": lambda _, *xs: sum(xs),
    "elementwise": lambda _, *xs: sum(x * (i + 1) for i, x in enumerate(xs)),
    "sub": lambda _, x, y: x - 3 * y,
    "mul": lambda _, *xs: torch.stack(torch.broadcast_tensors(*xs)).prod(0),
    "div": lambda _, x, y: x / (y + 1),
    "maximum": lambda _, *xs: torch.stack(torch.broadcast_tensors(*xs)).amax(0),
    "minimum": lambda _, *xs: torch.stack(torch.broadcast_tensors(*xs)).amin(0),
    "flatten": lambda a, x: torch.flatten(x, a.get("start_axis", 0), a.get("end_axis", -1)),
    "reshape": lambda a, x: x.reshape(a["shape"]),
    "permute": lambda a, x: x.permute(a["order"]),
    "transpose": lambda a, x: x.transpose(a["axis0"], a["axis1"]),
    "squeeze": lambda a, x: x.squeeze(a["axes"]),
    "unsqueeze": lambda a, x: x.unsqueeze(a["axis"]),
    "expand": lambda a, x: x.expand(a["shape"]),
    "pad": pad,
    "center_crop": center_crop,
    "slice": lambda a, x: numbered(x, lambda n: np.moveaxis(np.moveaxis(n, a["axis"], 0)[of_slice(a)], 0, a["axis"])),
    "select": lambda a, x: x.select(a["axis"], a["index"]),
    "flip": lambda a, x: x.flip(a["axes"]),
    "roll": lambda a, x: x.roll(a["shifts"], a["axes"]),
    "gather": lambda a, x: numbered(x, lambda n: np.take(n, a["indices"], a["axis"])),
    "scatter": scatter,
    "concat": lambda a, *xs: torch.cat(xs, a["axis"]),
    "stack": lambda a, *xs: torch.stack(xs, a["axis"]),
    "split": tuple_split,
    "chunk": lambda a, x: x.chunk(a["chunks"], a["axis"])[a["index"]],
    "repeat": lambda a, x: x.repeat(a["repeats"]),
    "repeat_interleave": lambda a, x: x.repeat_interleave(a["repeats"], a["axis"]),
    "pixel_shuffle": lambda a, x: functional.pixel_shuffle(x, a["factor"]),
    "pixel_unshuffle": lambda a, x: functional.pixel_unshuffle(x, a["factor"]),
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "channel_shuffle": lambda a, x: numbered(
        x, lambda n: n.reshape(a["groups"], -1, *n.shape[1:]).swapaxes(0, 1).reshape(n.shape)
    ),
    "window_partition": window_partition,
    "window_reverse": window_reverse,
    "resize": resize,
    "grid_sample": grid_sample,
    "dynamic_gather": dynamic_gather,
    "topk": lambda a, x: x.topk(a["k"], a["axis"])[0],
    "sort": lambda a, x: x.sort(a["axis"])[0],
}


def dependencies(op: str, attrs: dict, shapes: list[tuple]) -> list[np.ndarray]:
    """For each input: a boolean array (*out_shape, *input_shape) of what torch's result depends on."""
    xs = [torch.rand(shape, dtype=torch.float64) + 0.5 for shape in shapes]
    seed = int(torch.randint(10**9, ()))

    def run(*values: Tensor) -> Tensor:
        torch.manual_seed(seed)  # the same weights each time
        return OPS[op](attrs, *values)

    if op in BY_PERTURBATION:
        return [perturbed(run, xs, i, BY_PERTURBATION[op]) for i in range(len(xs))]
    if run(*xs).numel() == 0:
        return [np.zeros((*run(*xs).shape, *shape), dtype=bool) for shape in shapes]
    jacobian = torch.autograd.functional.jacobian(run, tuple(xs))
    return [(j.abs() > (0 if op == "recurrent" else 1e-12)).numpy() for j in jacobian]


def perturbed(run: Callable[..., Tensor], xs: list[Tensor], i: int, sign: int) -> np.ndarray:
    """Which outputs change when one element of input i becomes extreme."""
    base = run(*xs)
    changed = torch.zeros((*base.shape, xs[i].numel()), dtype=torch.bool)
    for e in range(xs[i].numel()):
        moved = xs[i].clone().reshape(-1)
        moved[e] = sign * 100.0
        changed[..., e] = run(*xs[:i], moved.reshape(xs[i].shape), *xs[i + 1 :]) != base
    return changed.reshape((*base.shape, *xs[i].shape)).numpy()
