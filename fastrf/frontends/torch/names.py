"""Families of ATen operators by name, where several modules treat them alike."""

from __future__ import annotations

__all__ = [
    "CLOSED",
    "COPIES",
    "JOINS",
    "LOG_SOFTMAXES",
    "MIXES",
    "MOVES",
    "OF_ONE",
    "OF_SEVERAL",
    "PERMUTES",
    "RESCALES",
    "SHAPES",
    "SHUFFLES",
    "SOFTMAXES",
    "SUMS",
    "VALUE_FREE",
    "ZEROS_LEFT_OUT",
    "ZERO_OF_ZEROS",
]


def _named(*names: str) -> frozenset[str]:
    return frozenset(f"aten::{name}" for line in names for name in line.split())


#: The same values, perhaps of another type.
COPIES = _named(
    "alias clone contiguous detach dropout dropout_ feature_dropout alpha_dropout lift_fresh_copy lift_fresh to",
    "_to_copy type_as native_dropout positive real conj resolve_conj resolve_neg float double half",
)

#: The same elements in the same order.
SHAPES = _named(
    "view reshape _unsafe_view _reshape_alias unflatten flatten squeeze unsqueeze reshape_as view_as ravel view_copy",
)

#: The axes in another order.
PERMUTES = _named("permute transpose t swapaxes swapdims movedim numpy_T mT adjoint permute_copy moveaxis")

#: Operators that put constants beside, or in the place of, what the input reaches.
JOINS = _named(
    "cat concat concatenate stack where masked_fill copy slice_scatter select_scatter index_put _unsafe_index_put",
    "index_copy index_add scatter scatter_add tril triu",
)

#: Operators that only move elements; those that change no more than the shape look after themselves.
MOVES = JOINS | _named(
    "select slice slice_copy narrow flip roll repeat tile repeat_interleave split split_with_sizes chunk tensor_split",
    "unsafe_split unsafe_chunk unbind unsafe_split_with_sizes split_copy split_with_sizes_copy unbind_copy",
    "index_select unfold pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle",
)

#: More of them, of which the rules for what the input reaches find out themselves what is known.
SHUFFLES = _named(
    "pad constant_pad_nd reflection_pad1d reflection_pad2d reflection_pad3d replication_pad1d replication_pad2d",
    "replication_pad3d _pad_circular diag diag_embed diagonal gather index take_along_dim take index_fill rot90",
    "expand expand_as broadcast_to expand_copy im2col embedding block_diag",
)

#: A function of one element, or of it and bounds that may be tensors.
OF_ONE = _named(
    "relu relu6 leaky_relu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh sigmoid tanh softplus",
    "softsign softshrink hardshrink tanhshrink threshold log_sigmoid logsigmoid exp expm1 exp2 log log1p log2 log10",
    "sqrt rsqrt square abs neg sign sgn floor ceil round trunc frac erf erfc erfinv sin cos tan asin acos atan sinh",
    "cosh asinh acosh atanh reciprocal logical_not bitwise_not nan_to_num isnan isinf isfinite clamp clamp_min",
    "clamp_max clip digamma lgamma logit sinc i0 signbit deg2rad rad2deg abs_ relu_ angle imag",
)

#: A function of several elements at one place.
OF_SEVERAL = _named(
    "add sub rsub mul div true_divide divide multiply subtract pow maximum minimum fmax fmin fmod remainder",
    "floor_divide atan2 hypot eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor",
    "prelu _prelu_kernel copysign nextafter heaviside xlogy logaddexp __and__ __or__ __xor__",
    "bitwise_left_shift bitwise_right_shift bucketize float_power polar complex",
)

#: Sums of products: zero where every summand is.
SUMS = _named(
    "matmul mm bmm mv dot linear einsum addmm baddbmm addbmm addmv sum mean cumsum norm linalg_vector_norm nansum",
    "conv1d conv2d conv3d convolution conv_transpose1d conv_transpose2d conv_transpose3d kron trace outer",
)

#: Operators whose results are zero where all that they read is; a bias or another tensor aside.
ZERO_OF_ZEROS = _named(
    "conv1d conv2d conv3d convolution conv_transpose1d conv_transpose2d conv_transpose3d linear im2col col2im",
    "sum mean nansum nanmean norm linalg_vector_norm amax amin max min median cumsum cummax cummin var std",
    *(
        f"max_pool{n}d avg_pool{n}d adaptive_avg_pool{n}d _adaptive_avg_pool{n}d adaptive_max_pool{n}d"
        for n in (1, 2, 3)
    ),
    *(f"max_pool{n}d_with_indices upsample_nearest{n}d _upsample_nearest_exact{n}d" for n in (1, 2, 3)),
    "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa index glu topk sort",
)

#: The first argument, scaled row by row.
RESCALES = _named("_weight_norm _weight_norm_interface")

#: Functions of a square matrix whose zeros are those of all its powers.
CLOSED = _named("matrix_exp linalg_matrix_exp inverse linalg_inv linalg_inv_ex")

#: Operators whose results are zero nowhere by definition, whatever zeros they read.
MIXES = _named("var std var_mean std_mean max min amax amin prod logsumexp argmax argmin median logcumsumexp cumprod")

#: Over one axis, of which masks exclude a part.
LOG_SOFTMAXES = _named("log_softmax _log_softmax")
SOFTMAXES = LOG_SOFTMAXES | _named("softmax _softmax _safe_softmax")

#: Operators that look at the shape of an input and never at its values.
VALUE_FREE = _named(
    "zeros_like ones_like full_like empty_like rand_like randn_like new_zeros new_ones new_full new_empty sym_size",
    "sym_numel sym_stride _assert_tensor_metadata _assert_async _assert_scalar",
) | {"sym_size.int"}

#: Normalizations.
NORMS = _named(
    "batch_norm layer_norm group_norm instance_norm native_layer_norm native_group_norm native_batch_norm",
    "_native_batch_norm_legit_no_training _native_batch_norm_legit _batch_norm_no_update rms_norm _fused_rms_norm",
    "cudnn_batch_norm",
)
#: Operators on what the input reaches whose rules leave out what weights of zero hide.
ZEROS_LEFT_OUT = (
    COPIES | SHAPES | PERMUTES | MOVES | SHUFFLES | OF_ONE | OF_SEVERAL | VALUE_FREE | SOFTMAXES | MIXES
    | _named(
        "conv1d conv2d conv3d convolution _convolution conv_transpose1d conv_transpose2d conv_transpose3d linear",
        "matmul bmm mm mv dot __rmatmul__ addmm baddbmm addbmm addmv einsum addcmul addcdiv lerp _trilinear sum mean",
    )
    | NORMS
)  # fmt: skip
