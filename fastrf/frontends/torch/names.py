"""What ATen operators are called: the forms of one operator, and families that several modules treat alike.

An operator's name here is without namespace and overload, and that of its plain form; those of others are qualified.
"""

from __future__ import annotations

import functools

__all__ = [
    "CLOSED",
    "CONVOLUTIONS",
    "COPIES",
    "FLAT_BELOW",
    "FORMS",
    "JOINS",
    "MIXES",
    "MOVES",
    "NORMS",
    "OF_ONE",
    "OF_SEVERAL",
    "PERMUTES",
    "RESCALES",
    "ROUNDS",
    "SCOPE",
    "SHAPES",
    "SHUFFLES",
    "SOFTMAXES",
    "STORED",
    "SUMS",
    "VALUE_FREE",
    "ZEROS_LEFT_OUT",
    "ZERO_OF_ZEROS",
    "plain_name",
]

#: In a node's `meta`, the modules that it runs in, where a recording run notes them.
SCOPE = "fastrf_scope"

#: Other forms of an operator, each with the plain one: synonyms, and those that copy or check less.
FORMS = {
    form: plain
    for plain, forms in {
        **{"cat": "concat concatenate", "mul": "multiply", "div": "divide true_divide", "sub": "subtract"},
        **{"bitwise_and": "__and__", "bitwise_or": "__or__", "bitwise_xor": "__xor__", "clamp": "clip"},
        **{"transpose": "swapaxes swapdims", "movedim": "moveaxis", "permute": "permute_copy"},
        **{"view": "view_copy _unsafe_view _reshape_alias", "expand": "expand_copy", "slice": "slice_copy"},
        **{"narrow": "narrow_copy", "unbind": "unbind_copy", "split": "unsafe_split split_copy"},
        **{"split_with_sizes": "unsafe_split_with_sizes split_with_sizes_copy", "chunk": "unsafe_chunk"},
        **{"index": "_unsafe_index", "index_put": "_unsafe_index_put", "alias": "lift_fresh_copy"},
        **{"softmax": "_softmax _safe_softmax", "log_softmax": "_log_softmax", "convolution": "_convolution"},
        **{f"adaptive_avg_pool{n}d": f"_adaptive_avg_pool{n}d" for n in (2, 3)},
        **{"linalg_inv": "inverse", "linalg_det": "det", "linalg_slogdet": "slogdet"},
        **{"neg": "_neg_view", "matrix_exp": "linalg_matrix_exp", "channel_shuffle": "native_channel_shuffle"},
        **{"view_as_complex": "view_as_complex_copy", "view_as_real": "view_as_real_copy"},
    }.items()
    for form in forms.split()
}


@functools.cache
def plain_name(written: str) -> str:
    """The name by which rules and tables know an operator, of one such as "aten::relu_"."""
    namespace, _, name = written.rpartition("::")
    if namespace != "aten":
        return written if namespace else f"python::{name}"
    in_place = name.endswith("_") and not name.endswith("__")
    name = name[:-1] if in_place else name
    return FORMS.get(name, name)


def _named(*names: str) -> frozenset[str]:
    return frozenset(" ".join(names).split())


#: The same values, perhaps of another type.
COPIES = _named(
    "alias clone contiguous detach dropout feature_dropout alpha_dropout lift_fresh to _to_copy type_as",
    "native_dropout positive real conj _conj conj_physical _conj_physical resolve_conj resolve_neg",
)

#: The same elements in the same order.
SHAPES = _named("view reshape unflatten flatten squeeze unsqueeze reshape_as view_as ravel")

#: The axes in another order.
PERMUTES = _named("permute transpose t movedim numpy_T mT adjoint")

#: Operators that put constants beside, or in the place of, what the input reaches.
JOINS = _named(
    "cat stack where masked_fill copy slice_scatter select_scatter index_put index_copy index_add scatter scatter_add",
    "tril triu",
)

#: Operators that only move elements; those that change no more than the shape look after themselves.
MOVES = JOINS | _named(
    "select slice narrow flip roll repeat tile repeat_interleave split split_with_sizes chunk tensor_split unbind",
    "index_select unfold pixel_shuffle pixel_unshuffle channel_shuffle",
)

#: More of them, of which the rules for what the input reaches find out themselves what is known.
SHUFFLES = _named(
    "pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d",
    "replication_pad3d _pad_circular diag diag_embed diagonal gather index take_along_dim take index_fill rot90",
    "expand expand_as broadcast_to im2col embedding block_diag",
)

#: A function of one element, or of it and bounds that may be tensors.
OF_ONE = _named(
    "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh softplus",
    "softshrink hardshrink threshold log_sigmoid exp expm1 exp2 log log1p log2 log10 sqrt rsqrt square abs neg sign",
    "sgn floor ceil round trunc frac erf erfc erfinv sin cos tan asin acos atan sinh cosh asinh acosh atanh",
    "reciprocal logical_not bitwise_not nan_to_num isnan isinf isfinite clamp clamp_min clamp_max digamma lgamma",
    "logit sinc i0 signbit deg2rad rad2deg angle imag",
)

#: Of these, functions that are constant far below zero, where constants may have moved an element.
FLAT_BELOW = _named(
    "exp exp2 expm1 sigmoid tanh erf relu relu6 gelu silu elu selu celu softplus mish hardsigmoid hardswish hardtanh",
)

#: A function of several elements at one place.
OF_SEVERAL = _named(
    "add sub rsub mul div pow maximum minimum fmax fmin fmod remainder floor_divide atan2 hypot eq ne lt le gt ge",
    "logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor _prelu_kernel copysign nextafter heaviside",
    "xlogy logaddexp bitwise_left_shift bitwise_right_shift float_power polar complex",
)

#: Convolutions, plain and transposed.
CONVOLUTIONS = _named("conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d convolution")

#: Sums of products: zero where every summand is.
SUMS = CONVOLUTIONS | _named(
    "matmul mm bmm mv dot linear einsum addmm baddbmm addbmm addmv sum mean cumsum norm linalg_vector_norm nansum",
    "kron trace outer",
)

#: Operators whose results are zero where all that they read is; a bias or another tensor aside.
ZERO_OF_ZEROS = CONVOLUTIONS | _named(
    "linear im2col col2im sum mean nansum nanmean norm linalg_vector_norm amax amin max min median cumsum cummax",
    "cummin var std index glu topk sort",
    *(f"max_pool{n}d avg_pool{n}d adaptive_avg_pool{n}d adaptive_max_pool{n}d" for n in (1, 2, 3)),
    *(f"max_pool{n}d_with_indices upsample_nearest{n}d _upsample_nearest_exact{n}d" for n in (1, 2, 3)),
    "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
)

#: The first argument, scaled row by row.
RESCALES = _named("_weight_norm _weight_norm_interface")

#: The first argument rounded to steps, or told by the numbers that steps stand for; zero stays zero.
ROUNDS = _named(
    "fake_quantize_per_tensor_affine fake_quantize_per_tensor_affine_cachemask fake_quantize_per_channel_affine",
    "fake_quantize_per_channel_affine_cachemask _fake_quantize_per_tensor_affine_cachemask_tensor_qparams",
    *(
        f"quantized_decomposed::{way}_per_{part}"
        for way in ("quantize", "dequantize")
        for part in ("tensor", "channel")
    ),
)

#: Those that make weights of what they are stored as.
STORED = frozenset(f"quantized_decomposed::dequantize_per_{part}" for part in ("tensor", "channel"))

#: Functions of a square matrix whose zeros are those of all its powers.
CLOSED = _named("matrix_exp linalg_inv linalg_inv_ex")

#: Operators whose results are zero nowhere by definition, whatever zeros they read.
MIXES = _named("var std var_mean std_mean max min amax amin prod logsumexp argmax argmin median logcumsumexp cumprod")

#: Over one axis, of which masks exclude a part.
SOFTMAXES = _named("softmax log_softmax")

#: Operators that look at the shape of an input and never at its values.
VALUE_FREE = _named(
    "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty sym_size",
    "sym_numel sym_stride _assert_tensor_metadata _assert_async _assert_scalar",
)

#: Normalizations.
NORMS = _named(
    "batch_norm layer_norm group_norm instance_norm native_layer_norm native_group_norm native_batch_norm",
    "_native_batch_norm_legit_no_training _native_batch_norm_legit _batch_norm_no_update rms_norm _fused_rms_norm",
    "cudnn_batch_norm",
)

#: Operators on what the input reaches whose rules leave out what weights of zero hide.
ZEROS_LEFT_OUT = frozenset().union(
    *(
        COPIES,
        SHAPES,
        PERMUTES,
        MOVES,
        SHUFFLES,
        OF_ONE,
        OF_SEVERAL,
        VALUE_FREE,
        SOFTMAXES,
        MIXES,
        NORMS,
        CONVOLUTIONS,
        ROUNDS,
    ),
    _named("linear matmul bmm mm mv dot addmm baddbmm addbmm addmv einsum addcmul addcdiv lerp prelu _trilinear"),
    _named("sum mean"),
)
