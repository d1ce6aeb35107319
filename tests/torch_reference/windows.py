"""Windows and resampling in torch, as far as torch has them."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from tests.torch_reference.core import UnsupportedError, many, weight


def geometry(a: dict, x: Tensor, stride: int | list = 1) -> tuple[list, list, list, list, list]:
    """Kernel, stride, dilation, begin and end padding."""
    sizes, d = x.shape[1:], x.ndim - 1
    k, s, dilation = many(a["kernel_size"], d), many(a.get("stride", stride), d), many(a.get("dilation", 1), d)
    padding = a.get("padding", 0)
    if padding == "valid":
        padding = 0
    if isinstance(padding, str):  # TensorFlow's documented formula
        begin, end = [], []
        for n, ki, si, di in zip(sizes, k, s, dilation, strict=True):
            reach = (ki - 1) * di + 1
            total = max(reach - si, 0) if n % si == 0 else max(reach - n % si, 0)
            begin.append(total // 2 if padding == "same" else total - total // 2)
            end.append(total - begin[-1])
        return k, s, dilation, begin, end
    pairs = [[p, p] if isinstance(p, int) else p for p in many(padding, d)]
    return k, s, dilation, [p[0] for p in pairs], [p[1] for p in pairs]


def padded(x: Tensor, begin: list, end: list, mode: str) -> Tensor:
    """functional.pad of the spatial axes."""
    flat = [p for pair in reversed(list(zip(begin, end, strict=True))) for p in pair]
    return functional.pad(x[None], flat, mode={"zeros": "constant"}.get(mode, mode))[0]


def conv(a: dict, x: Tensor, out_channels: int, groups: int) -> Tensor:
    """conv1d, conv2d, conv3d."""
    k, s, dilation, begin, end = geometry(a, x)
    w, mode = weight(out_channels, x.shape[0] // groups, *k), a.get("padding_mode", "zeros")
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[len(k) - 1]
    if a.get("padding") in ("same", "valid") and mode == "zeros" and set(s) == {1}:
        return function(x[None], w, padding=a["padding"], dilation=dilation, groups=groups)[0]
    return function(padded(x, begin, end, mode)[None], w, stride=s, dilation=dilation, groups=groups)[0]


def pool(a: dict, x: Tensor, op: str) -> Tensor:
    """Pooling, as far as torch has it."""
    d = x.ndim - 1
    k, s, dilation, begin, end = geometry(a, x, a["kernel_size"])
    ceil = a.get("ceil_mode", False)
    if begin != end:
        if ceil:
            raise UnsupportedError
        x, begin = padded(x, begin, end, "zeros"), [0] * d
    if op == "max_pool":
        if any(2 * p > n for p, n in zip(begin, k, strict=True)):
            raise UnsupportedError
        return (functional.max_pool1d, functional.max_pool2d, functional.max_pool3d)[d - 1](
            x[None], k, s, begin, dilation, ceil_mode=ceil
        )[0]
    if set(dilation) != {1} or (op == "lp_pool" and any(begin)):
        raise UnsupportedError
    if op == "avg_pool":
        if d == 3 and any(n < n_k for n, n_k in zip(x.shape[1:], k, strict=True)):
            raise UnsupportedError  # avg_pool3d wants it to fit without the padding
        return (functional.avg_pool1d, functional.avg_pool2d, functional.avg_pool3d)[d - 1](
            x[None], k, s, begin, ceil_mode=ceil
        )[0]
    return (
        functional.lp_pool1d(x, 2, k[0], s[0], ceil)
        if d == 1
        else (functional.lp_pool2d, functional.lp_pool3d)[d - 2](x[None], 2, k, s, ceil)[0]
    )


def conv_transpose(a: dict, x: Tensor) -> Tensor:
    """conv_transpose1d, 2d, 3d; asymmetric padding by cropping."""
    k, s, dilation, begin, end = geometry(a, x)
    groups, extra = a.get("groups", 1), many(a.get("output_padding", 0), len(k))
    w = weight(x.shape[0], a["out_channels"] // groups, *k)
    function = (functional.conv_transpose1d, functional.conv_transpose2d, functional.conv_transpose3d)[len(k) - 1]
    if begin == end:
        return function(x[None], w, None, s, begin, extra, groups, dilation)[0]
    y = function(x[None], w, None, s, 0, extra, groups, dilation)[0]
    return y[(slice(None), *(slice(p, n - q) for p, q, n in zip(begin, end, y.shape[1:], strict=True)))]


def resize(a: dict, x: Tensor) -> Tensor:
    """functional.interpolate, as far as torch has it: Keys' kernel has -3/4, neighbours outside are the border's."""
    if a.get("cubic_coeff_a", -0.75) != -0.75 or a.get("exclude_outside", False) or "crop" in a:
        raise UnsupportedError
    sizes, d = x.shape[1:], x.ndim - 1
    out = many(a["output_size"], d) if "output_size" in a else None
    if out is None:
        out = [int(n * s) for n, s in zip(sizes, many(a["scale"], d), strict=True)]
    mode, rounding = a.get("mode", "nearest"), a.get("rounding", "floor")
    rule = a.get("coordinates", "asymmetric" if mode == "nearest" else "half_pixel")
    if mode == "area":
        return functional.interpolate(x[None], out, mode="area")[0]
    if mode == "nearest":
        name = {("asymmetric", "floor"): "nearest", ("half_pixel", "round_prefer_ceil"): "nearest-exact"}
        if (rule, rounding) not in name:
            raise UnsupportedError
        return functional.interpolate(x[None], out, mode=name[rule, rounding])[0]
    if rule not in ("half_pixel", "align_corners") or ((mode == "cubic" or a.get("antialias", False)) and d != 2):
        raise UnsupportedError
    name = ("linear", "bilinear", "trilinear")[d - 1] if mode == "linear" else "bicubic"
    aligned = rule == "align_corners"
    return functional.interpolate(x[None], out, mode=name, align_corners=aligned, antialias=a.get("antialias", False))[
        0
    ]


def fold_args(a: dict) -> dict:
    """Arguments shared by unfold and fold."""
    return {key: a[key] for key in ("kernel_size", "dilation", "padding", "stride") if key in a}


def only_2d(x: Tensor, d: int, y: Callable[[], Tensor]) -> Tensor:
    """Run only with d axes."""
    if x.ndim != d:
        raise UnsupportedError
    return y()


def fold(a: dict, x: Tensor) -> Tensor:
    """functional.fold."""
    return only_2d(
        x, 2 if len(a["output_size"]) == 2 else -1, lambda: functional.fold(x, a["output_size"], **fold_args(a))
    )


def adaptive(op: str) -> Callable:
    """Adaptive pooling."""

    def run(a: dict, x: Tensor) -> Tensor:
        d = x.ndim - 1
        size = [n if o is None else o for n, o in zip(x.shape[1:], many(a["output_size"], d), strict=True)]
        return getattr(functional, f"{op}{d}d")(x[None], size)[0]

    return run


def window_partition(a: dict, x: Tensor) -> Tensor:
    """Swin's window partition, channels first."""
    (c, h, w), (p, q) = x.shape, many(a["window"], 2)
    return x.reshape(c, h // p, p, w // q, q).permute(1, 3, 0, 2, 4).reshape(-1, c, p, q)


def window_reverse(a: dict, x: Tensor) -> Tensor:
    """Swin's window reverse, channels first."""
    (h, w), (p, q) = a["output_size"], many(a["window"], 2)
    if x.ndim != 4:
        raise UnsupportedError
    return x.reshape(h // p, w // q, -1, p, q).permute(2, 0, 3, 1, 4).reshape(-1, h, w)
