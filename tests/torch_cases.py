"""A case of every ATen operator with a rule: its arguments, made with an input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("fastrf.frontends.torch")

from fastrf.frontends.torch import names  # noqa: E402  (needs torch)

LONG, DOUBLE = torch.int64, torch.float64
ROW, MAP, VOLUME, TOKENS, SQUARE = (3, 2, 6), (3, 4, 5, 4), (3, 2, 4, 3, 4), (3, 4, 6), (3, 4, 4)


def w(*shape):
    """A constant of positive numbers."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=DOUBLE) + 0.5


def at(*numbers):
    return torch.tensor(numbers)


def bits(*shape):
    return torch.ones(shape, dtype=torch.bool).tril()


class Case(NamedTuple):
    """An operator's arguments, made with an input of a shape and a type."""

    shape: tuple[int, ...]
    arguments: Callable[..., tuple]
    named: dict
    dtype: Any = DOUBLE
    results: Any = None  # of operators that do not run here


def over(shape, *rest, of=DOUBLE, **named):
    """The operator on the input, then further arguments."""
    return Case(shape, lambda x: (x, *rest), named, of)


def given(shape, arguments, of=DOUBLE):
    """The operator on arguments made with the input."""
    return Case(shape, arguments, {}, of)


def recurrent(states, gates):
    """Two layers both ways over frames side by side."""
    sizes = [(gates * 2, n) for n in (6, 2, 6, 2, 4, 2, 4, 2)]
    return given(TOKENS, lambda x: (x, states, [w(*size) for size in sizes], False, 2, 0.0, False, True, True))


#: One element each, as the first argument of a whole number or a truth.
WHOLE = ("bitwise_not", "bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_left_shift", "bitwise_right_shift")
WHOLE += ("__and__", "__or__", "__xor__")


def known_as(*plain):
    """Names of operators and of all their other forms."""
    return [*plain, *(form for form, of in names.FORMS.items() if of in plain)]


SEVERAL, ONE = known_as(*sorted(names.OF_SEVERAL)), [*known_as(*sorted(names.OF_ONE)), "abs_", "relu_"]
#: Functions of single elements: every result reads its own place.
POINTWISE = {
    **{name: over(MAP) for name in ONE},
    **{name: over(MAP, w(4, 5, 4)) for name in SEVERAL},
    **{name: over(MAP, of=LONG) for name in WHOLE if name in ONE},
    **{name: over(MAP, at(1, 2, 3, 4), of=LONG) for name in WHOLE if name in SEVERAL},
    **{name: over(MAP) for name in [*known_as(*sorted(names.COPIES)), "dropout_"]},
    "threshold": over(MAP, 0.1, 0.0),
    "clamp": over(MAP, 0.1, 0.9),
    "clip": over(MAP, 0.1, 0.9),
    "clamp_min": over(MAP, 0.1),
    "clamp_max": over(MAP, 0.1),
    "imag": over(MAP, of=torch.complex128),
    **{name: over(MAP, of=torch.complex128) for name in ("_conj", "_conj_physical", "conj_physical", "_neg_view")},
    "logical_or": over(MAP, torch.zeros(4, dtype=torch.bool)),
    "prelu": over(MAP, w(4)),
    **{f"fake_quantize_per_tensor_affine{form}": over(MAP, 0.1, 0, 0, 255) for form in ("", "_cachemask")},
    **{
        f"fake_quantize_per_channel_affine{form}": over(MAP, w(4).float(), at(0, 0, 0, 0).int(), 1, 0, 255)
        for form in ("", "_cachemask")
    },
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": over(
        MAP, torch.ones(1), torch.zeros(1, dtype=torch.int32), torch.ones(1, dtype=torch.int64), 0, 255
    ),
    "_prelu_kernel": over(MAP, w(4, 1, 1)),
    "to": over(MAP, torch.float32),
    "type_as": over(MAP, w(2).float()),
    "dropout": over(MAP, 0.5, False),
    "dropout_": over(MAP, 0.5, False),
    "feature_dropout": over(MAP, 0.5, False),
    "alpha_dropout": over(MAP, 0.5, False),
    "native_dropout": over(MAP, 0.5, False),
    "masked_fill": over(MAP, torch.zeros(4, dtype=torch.bool), 1.0),
    "where": given(MAP, lambda x: (torch.ones(5, 4, dtype=torch.bool), x, w(4, 5, 4))),
    "copy": given(MAP, lambda x: (w(*MAP), x)),
    "addcmul": over(MAP, w(5, 4), w(4, 1, 1)),
    "addcdiv": over(MAP, w(5, 4), w(4, 1, 1)),
    "lerp": over(MAP, w(5, 4), 0.3),
}
#: Everything else, against the Jacobian.
WINDOWS = {
    "conv1d": over(ROW, w(4, 2, 3), None, [2], [1]),
    "conv2d": over(MAP, w(2, 2, 3, 2), w(2), [1], [1], [1], 2),
    "conv3d": over(VOLUME, w(2, 2, 2, 3, 2)),
    "convolution": over(MAP, w(2, 4, 3, 3), None, [2, 1], [1, 0], [1, 1], False, [0, 0], 1),
    "_convolution": over(MAP, w(4, 1, 3, 3), None, [2], [1], [1], True, [1], 2, False, False, False, False),
    "conv_transpose1d": over(ROW, w(2, 3, 3), None, [2]),
    "conv_transpose2d": over(MAP, w(4, 1, 2, 3), None, [2], [0], [1], 2),
    "conv_transpose3d": over(VOLUME, w(2, 1, 2, 2, 2), None, [2]),
    **{f"max_pool{n}d": over((3, 2, *[5, 4, 4][:n]), [2], [1]) for n in (1, 2, 3)},
    **{f"max_pool{n}d_with_indices": over((3, 2, *[5, 4, 4][:n]), [2] * n) for n in (1, 2, 3)},
    **{f"avg_pool{n}d": over((3, 2, *[5, 4, 4][:n]), [2], [1]) for n in (1, 2, 3)},
    **{f"adaptive_avg_pool{n}d": over((3, 2, *[5, 4, 4][:n]), [3] * n) for n in (1, 2, 3)},
    **{f"_adaptive_avg_pool{n}d": over((3, 2, *[5, 4, 4][:n]), [3] * n) for n in (2, 3)},
    **{f"adaptive_max_pool{n}d": over((3, 2, *[5, 4, 4][:n]), [3] * n) for n in (1, 2, 3)},
    "im2col": over(MAP, [2, 3], [1, 1], [1, 0], [2, 1]),
    "col2im": over((3, 8, 9), [4, 4], [2, 2], [1, 1], [0, 0], [1, 1]),
    **{f"upsample_nearest{n}d": over((3, 2, *[5, 3, 4][:n]), [4, 7, 4][:n]) for n in (1, 2, 3)},
    **{f"_upsample_nearest_exact{n}d": over((3, 2, *[5, 3, 4][:n]), [4, 7, 4][:n]) for n in (1, 2, 3)},
    "upsample_linear1d": over(ROW, [4], False),
    "upsample_bilinear2d": over(MAP, [7, 3], False),
    "upsample_trilinear3d": over(VOLUME, [3, 5, 4], False),
    "upsample_bicubic2d": over(MAP, [7, 3], False),
    "_upsample_bilinear2d_aa": over(MAP, [7, 3], False),
    "_upsample_bicubic2d_aa": over(MAP, [7, 3], False),
    "grid_sampler": over(MAP, w(3, 2, 3, 2) - 1, 0, 0, False),
    "grid_sampler_2d": over(MAP, w(3, 2, 3, 2) - 1, 0, 0, False),
    "grid_sampler_3d": over(VOLUME, w(3, 2, 2, 3, 3) - 1, 0, 0, False),
    "unfold": over(ROW, 2, 3, 2),
}
SHAPES = {
    "reshape": over(MAP, [3, 20, 4]),
    "view": over(MAP, [12, 5, 4]),
    "view_copy": over(MAP, [12, 20]),
    "_unsafe_view": over(MAP, [60, 4]),
    "_reshape_alias": over(MAP, [60, 4], [4, 1]),
    "view_as": over(MAP, w(12, 20)),
    "reshape_as": over(MAP, w(12, 20)),
    "flatten": over(MAP, 1, 2),
    "unflatten": over(MAP, 1, [2, 2]),
    "ravel": over(MAP),
    "squeeze": over((3, 1, 4)),
    "unsqueeze": over(MAP, 1),
    "expand": over((3, 1, 4), [2, 3, 5, 4]),
    "expand_copy": over((3, 1, 4), [2, 3, 5, 4]),
    "broadcast_to": over((3, 1, 4), [2, 3, 5, 4]),
    "expand_as": over((3, 1, 4), w(2, 3, 5, 4)),
    "permute": over(MAP, [3, 0, 2, 1]),
    "permute_copy": over(MAP, [3, 0, 2, 1]),
    "movedim": over(MAP, [0], [2]),
    "moveaxis": over(MAP, [0], [2]),
    **{name: over(MAP, 0, 2) for name in ("transpose", "swapaxes", "swapdims")},
    **{name: over(MAP) for name in ("mT", "adjoint")},
    **{name: over((3, 4)) for name in ("t", "numpy_T")},
    **{name: given(MAP, lambda x: ([x, w(3, 2, 5, 4), x], 1)) for name in ("cat", "concat", "concatenate")},
    "stack": given(MAP, lambda x: ([x, w(*MAP)], 1)),
    "select": over(MAP, 2, -1),
    "slice": over(MAP, 2, 0, 5, 2),
    "slice_copy": over(MAP, 0, 1),
    "narrow": over(MAP, 0, 1, 2),
    "narrow_copy": over(MAP, 2, 1, 2),
    **{name: over(MAP, 2, 2) for name in ("split", "unsafe_split", "split_copy")},
    **{name: over(MAP, [1, 2], 0) for name in ("split_with_sizes", "unsafe_split_with_sizes", "split_with_sizes_copy")},
    **{name: over(MAP, 2, 2) for name in ("chunk", "unsafe_chunk", "tensor_split")},
    **{name: over(MAP, 0) for name in ("unbind", "unbind_copy")},
    "flip": over(MAP, [0, 3]),
    "roll": over(MAP, [1, 2], [0, 2]),
    "rot90": over(MAP, 1, [0, 2]),
    "repeat": over(MAP, [2, 1, 2, 1]),
    "tile": over(MAP, [2, 1]),
    "repeat_interleave": over(MAP, 2, 1),
    "pad": over(MAP, [1, 2, -1, 0], "constant", 0.0),
    "constant_pad_nd": over(MAP, [1, 2, -1, 0], 0.0),
    **{f"reflection_pad{n}d": over((3, 2, *[5, 4, 4][:n]), [1, 2] * n) for n in (1, 2, 3)},
    **{f"replication_pad{n}d": over((3, 2, *[5, 4, 4][:n]), [1, 2] * n) for n in (1, 2, 3)},
    "_pad_circular": over(MAP, [1, 2, 0, 1]),
    "pixel_shuffle": over(MAP, 2),
    "pixel_unshuffle": over((3, 2, 4, 6), 2),
    "channel_shuffle": over(MAP, 2),
    "native_channel_shuffle": over(MAP, 2),
}
PLACES = {
    "index_select": over(MAP, 0, at(2, 0, 2)),
    "index": over(MAP, [at(2, 0), None, at(1, 3)]),
    "_unsafe_index": over(MAP, [None, at(2, 0)]),
    "gather": over(SQUARE, 1, at(0, 1, 3).reshape(3, 1, 1).expand(3, 2, 4)),
    "take_along_dim": over(SQUARE, at(0, 1, 3).reshape(3, 1, 1).expand(3, 2, 4), 1),
    "take": over(SQUARE, at(5, 40, 0)),
    "as_strided": over(SQUARE, [3, 3, 2], [16, 4, 3], 1),
    "diag_embed": over(TOKENS),
    "index_fill": over(SQUARE, 1, at(0, 3), 2.0),
    "diagonal": over(SQUARE, 1, 0, 2),
    "diag": over((4, 5)),
    "select_scatter": over(SQUARE, w(3, 4), 1, 2),
    "slice_scatter": given(SQUARE, lambda x: (w(3, 9, 4), x, 1, 0, 8, 2)),
    "index_put": over(SQUARE, [at(2, 0), at(1, 3)], w(2, 4)),
    "_unsafe_index_put": over(SQUARE, [at(2, 0)], w(2, 4, 4), True),
    "index_copy": given(SQUARE, lambda x: (w(5, 4, 4), 0, at(2, 0, 4), x)),
    "index_add": given(SQUARE, lambda x: (x, 0, at(2, 0), w(2, 4, 4))),
    "scatter": over(SQUARE, 1, at(0, 1, 3).reshape(3, 1, 1).expand(3, 1, 4), w(3, 1, 4)),
    "scatter_add": given(SQUARE, lambda x: (w(3, 6, 4), 1, at(5, 1, 1, 3).reshape(1, 4, 1).expand(3, 4, 4), x)),
    "scatter_reduce": over(SQUARE, 1, at(0, 1, 3).reshape(3, 1, 1).expand(3, 1, 4), w(3, 1, 4), "sum"),
    "tril": over(SQUARE, 1),
    "triu": over(SQUARE, -1),
    "fill": over(SQUARE, 2.0),
    "zero": over(SQUARE),
    "masked_scatter": over(SQUARE, bits(4, 4), w(3, 4, 4)),
    "one_hot": over((3, 4), 3, of=LONG),
    "embedding": given((3, 4), lambda x: (w(5, 2), x), of=LONG),
    **{
        name: given((6,), lambda x: (w(5, 2), x, at(0, 2, 2, 5)), of=LONG)
        for name in ("embedding_bag", "_embedding_bag", "_embedding_bag_forward_only")
    },
}
PRODUCTS = {
    "linear": over(TOKENS, w(2, 6), w(2)),
    "matmul": over(TOKENS, w(3, 6, 2)),
    "bmm": given(TOKENS, lambda x: (w(3, 2, 4), x)),
    "mm": over((3, 4), w(4, 2)),
    "mv": over((3, 4), w(4)),
    "dot": over((4,), w(4)),
    "addmm": given((3, 4), lambda x: (x, w(3, 2), w(2, 4))),
    "addmv": given((3, 4), lambda x: (w(3), x, w(4))),
    "baddbmm": given(TOKENS, lambda x: (w(3, 4, 2), x, w(3, 6, 2))),
    "addbmm": given(TOKENS, lambda x: (w(4, 2), x, w(3, 6, 2))),
    "einsum": given(TOKENS, lambda x: ("bij,jk->bik", [x, w(6, 2)])),
    "scaled_dot_product_attention": given(TOKENS, lambda x: (w(3, 2, 6), x, x)),
    "histc": over(TOKENS, 4, 0, 2),
    "max_unpool2d": over((2, 1, 3), at(2, 0, 7).reshape(1, 1, 3).expand(2, 1, 3), [2, 4]),
    "max_unpool3d": over(
        (2, 1, 1, 3), at(2, 0, 7).reshape(1, 1, 1, 3).expand(2, 1, 1, 3), [1, 2, 4], [1, 2, 1], [0, 0, 0]
    ),
    "searchsorted": over(TOKENS, w(3, 4, 2)),
    "bucketize": over(TOKENS, w(4).sort()[0]),
    "_cdist_forward": over(TOKENS, w(3, 2, 6), 2.0, None),
    "_pdist_forward": over((3, 4)),
    "_trilinear": over((3, 4), w(2, 4, 5), w(3, 5), [1, 3], [0], [1, 2], [2, 3]),
    "dist": over(TOKENS, w(3, 4, 6)),
    "cosine_similarity": over(TOKENS, w(3, 4, 6).flip(2), 2),
}
WHOLE_AXES = {
    **{name: over(TOKENS, 0) for name in ("softmax", "log_softmax", "_safe_softmax")},
    **{name: over(TOKENS, 1, False) for name in ("_softmax", "_log_softmax")},
    "layer_norm": over(MAP, [5, 4], w(5, 4)),
    "rms_norm": over(MAP, [5, 4], w(5, 4)),
    "_fused_rms_norm": over(MAP, [5, 4], w(5, 4), 1e-5),
    "native_layer_norm": over(MAP, [5, 4], w(5, 4), None, 1e-5),
    "group_norm": over(MAP, 2, w(4)),
    "native_group_norm": over(MAP, w(4), None, 3, 4, 20, 2, 1e-5),
    "instance_norm": over(MAP, w(4), None, None, None, True, 0.1, 1e-5, False),
    "batch_norm": over(MAP, w(4), None, w(4), w(4), False, 0.1, 1e-5, False),
    "native_batch_norm": over(MAP, w(4), None, None, None, True, 0.1, 1e-5),
    "_native_batch_norm_legit": over(MAP, w(4), None, True, 0.1, 1e-5),
    "_native_batch_norm_legit_no_training": over(MAP, w(4), None, w(4), w(4), 0.1, 1e-5),
    "_batch_norm_no_update": over(MAP, w(4), None, w(4), w(4), 0.1, 1e-5),
    **{name: over(MAP, [0, 2]) for name in ("sum", "mean", "logsumexp", "amax", "amin", "std", "var")},
    **{name: over(MAP, [0, 2]) for name in ("nansum", "nanmean", "std_mean", "var_mean", "count_nonzero")},
    **{name: over(MAP, 0) for name in ("prod", "max", "min", "median", "nanmedian", "mode", "any", "all")},
    **{name: over(MAP, 0) for name in ("argmax", "argmin", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")},
    "aminmax": over(MAP, dim=2),
    "norm": over(MAP, 2, [0, 2]),
    "linalg_vector_norm": over(MAP, 2, [0, 2]),
    "kthvalue": over(MAP, 2, 0),
    "topk": over(MAP, 2, 0),
    **{name: over(MAP, 0) for name in ("sort", "argsort")},
    "msort": over(MAP),
    "glu": over(MAP, 1),
    "_fft_r2c": over(TOKENS, [0, 2], 0, True),
    "_fft_c2c": over(TOKENS, [0, 2], 0, True, of=torch.complex128),
    "_fft_c2r": over(TOKENS, [2], 0, 10, of=torch.complex128),
    **{name: over(TOKENS, 8, 1) for name in ("fft_fft", "fft_rfft", "fft_ihfft")},
    **{name: over(TOKENS, [8, 3]) for name in ("fft_ihfft2", "fft_ihfftn")},
    **{name: over(TOKENS, [8, 3]) for name in ("fft_fft2", "fft_rfft2", "fft_fftn", "fft_rfftn")},
    **{name: over(TOKENS, 8, 1, of=torch.complex128) for name in ("fft_ifft", "fft_irfft", "fft_hfft")},
    **{
        name: over(TOKENS, of=torch.complex128)
        for name in (*(f"fft_{i}fft{n}" for i in ("i", "ir", "h") for n in "2n"),)
    },
    **{name: over(SQUARE) for name in ("linalg_inv_ex", "inverse", "_linalg_det", "_linalg_slogdet", "_linalg_svd")},
    **{name: over(SQUARE) for name in ("linalg_inv", "det", "linalg_det", "linalg_slogdet", "slogdet", "linalg_svd")},
    **{name: over(SQUARE) for name in ("linalg_qr", "linalg_cholesky_ex", "_linalg_eigh", "linalg_lu_factor_ex")},
    "_linalg_solve_ex": over(SQUARE, w(3, 4, 2)),
    "linalg_solve_triangular": over(SQUARE, w(3, 4, 2), upper=True),
    **{name: over((3, 4, 2)) for name in ("view_as_complex", "view_as_complex_copy")},
    **{name: over((3, 4), of=torch.complex128) for name in ("view_as_real", "view_as_real_copy")},
}
STATE = w(4, 3, 2)
RECURRENT = {
    "lstm": recurrent([STATE, STATE], 4),
    "gru": recurrent(STATE, 3),
    "rnn_tanh": recurrent(STATE, 1),
    "rnn_relu": recurrent(STATE, 1),
}

#: Which of several numbers an operator takes, or where it reads, depends on the numbers: the Jacobian is of one case.
BY_VALUES = {
    *(f"max_pool{n}d{more}" for n in (1, 2, 3) for more in ("", "_with_indices")),
    *("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "amax", "amin", "max", "min", "median"),
    *("nanmedian", "mode", "cummax", "cummin", "aminmax", "kthvalue", "topk", "sort", "msort"),
    *("_linalg_slogdet", "linalg_slogdet", "slogdet", "histc"),
}
ELSEWHERE = {
    "cudnn_batch_norm": over(MAP, w(4), None, w(4), w(4), True, 0.1, 1e-5)._replace(results=[w(*MAP)]),
}


CASES = {**WINDOWS, **SHAPES, **PLACES, **PRODUCTS, **WHOLE_AXES, **RECURRENT, **ELSEWHERE}
EVERY = POINTWISE | CASES
