"""DARTS and once-for-all: published sizes and costs, and their notations."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fastrf
from fastrf.errors import FormatError, NetworkError, ShapeError
from fastrf.spaces import DARTS, DARTS_V1, DARTS_V2, Candidates, OFAMobileNetV3
from fastrf.spaces.columns.programs import Columns
from tests.space_checks import assert_columns_equal_networks, costs, evaluated

V2_TEXT = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], "
    "normal_concat=[2, 3, 4, 5], reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), "
    "('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], "
    "reduce_concat=[2, 3, 4, 5])"
)


# DARTS -----------------------------------------------------------------------------------------------------------

#: Per cell, from per-position intervals of the published genotypes.
V1_SIZES = (7, 11, 15, 19, 23, 27, 29, 37, 45, 53, 61, 69, 77, 81, 97, 113, 129, 145, 161, 177)
V2_SIZES = (11, 19, 27, 35, 43, 51, 53, 69, 85, 101, 117, 133, 149, 153, 185, 217, 249, 281, 313, 345)


@pytest.mark.parametrize(("genotype", "sizes"), [(DARTS_V1, V1_SIZES), (DARTS_V2, V2_SIZES)])
def test_darts_sizes_per_cell(genotype, sizes):
    analysis = fastrf.analyze(DARTS().network(genotype))
    assert tuple(analysis[f"cells.{k}"].size[0] for k in range(20)) == sizes
    assert analysis.output.stride == (4, 4)


@pytest.mark.parametrize(
    ("space", "sizes"),
    [(DARTS(layers=8), (65, 121)), (DARTS(), (177, 345)), (DARTS("imagenet"), (959, 1855))],
    ids=lambda value: getattr(value, "name", None),
)
def test_darts_sizes_of_the_last_cell(space, sizes):
    found, _, _ = evaluated(space.candidates([DARTS_V1, DARTS_V2]), space.input_shape[1:])
    assert tuple(found) == sizes


def test_darts_published_parameters():
    """quark0/darts' README and logs: DARTS_V2 has 3.349342 MB for CIFAR-10 (without the auxiliary head), 4.718752 MB
    for ImageNet.
    """  # noqa: D205
    assert costs(DARTS().network(DARTS_V2))[0] == 3_349_342
    assert costs(DARTS("imagenet").network(DARTS_V2))[0] == 4_718_752


def test_darts_notations():
    space = DARTS()
    assert space.format(DARTS_V2) == V2_TEXT
    parts = {key: getattr(DARTS_V1, key) for key in DARTS_V1._fields}
    positional = f"genotypes.Genotype({list(DARTS_V1.normal)}, range(2, 6), {list(DARTS_V1.reduce)}, range(2, 6, 1))"
    for other in (positional, parts, json.dumps(parts), str(parts), tuple(parts.values()), DARTS_V1):
        assert space.parse(other) == DARTS_V1
    assert space.parse(V2_TEXT.replace("'sep_conv", "'dua_sepc").replace("'dil_conv", "'dil_sepc")) == DARTS_V2


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "cannot be read"),
        ("Genotype(", FormatError, "cannot be read"),
        ("7", FormatError, "not a genotype"),
        (7, FormatError, "not a genotype"),
        ("print('x')", FormatError, "not a genotype"),
        ("Genotype(1, 2, 3, 4, 5)", FormatError, "5 parts"),
        ("Genotype(normal=[])", FormatError, "normal_concat"),
        ("{'normal': 1, 'other': 2}", FormatError, "other"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "__import__('os').listdir()", 1), FormatError, "cannot be read"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "range(10**9)", 1), FormatError, "cannot be read"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "[6]", 1), NetworkError, "normal_concat"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "[]", 1), NetworkError, "normal_concat"),
        (V2_TEXT.replace("[2, 3, 4, 5]", "'2345'", 1), FormatError, "normal_concat"),
        (V2_TEXT.replace("('dil_conv_3x3', 2)", "('dil_conv_3x3', 5)"), NetworkError, "edge 7 of 'normal'"),
        (V2_TEXT.replace("('dil_conv_3x3', 2)", "('dil_conv', 2)"), NetworkError, "edge 7 of 'normal': operator"),
        (V2_TEXT.replace("('dil_conv_3x3', 2)", "'dil_conv_3x3'"), FormatError, "edge 7 of 'normal'"),
        (V2_TEXT.replace(", ('dil_conv_3x3', 2)", ""), NetworkError, "7 edges"),
        ("Genotype(normal=3, normal_concat=[2], reduce=[], reduce_concat=[2])", FormatError, "'normal' must be"),
        ("(" * 3000 + ")" * 3000, FormatError, "cannot be read"),
        ("x" * 30_000, FormatError, "this has 30000"),
        (V2_TEXT.replace("sep", "\\\\x73ep"), FormatError, "no backslashes"),
        ("Genotype(" + "-" * 15_000 + "1)", FormatError, "cannot be read"),
        ("a" + ".b" * 9_000 + "()", FormatError, "."),
    ],
)
def test_darts_malformed(text, error, message):
    with pytest.raises(error, match=message):
        DARTS().parse(text)


def test_darts_with_none_and_partial_outputs():
    """Edges of `none`, nodes of nothing but them, and cells that pass on only some of their nodes."""
    space = DARTS(layers=4, channels=2)
    codes = space.sample(10, 13).codes.copy()
    rng = np.random.default_rng(14)
    for start in (0, 17):
        codes[:, start : start + 8][rng.random((10, 8)) < 0.5] = 7
        codes[:, start + 16] = rng.integers(1, 16, 10)
    assert_columns_equal_networks(Candidates(space, codes), (3, 16, 16))
    assert all(text in space for text in Candidates(space, codes))


def test_darts_sizes_that_factorized_reduce_cannot_halve():
    space = DARTS(layers=3, channels=2)
    with pytest.raises(ShapeError, match="FactorizedReduce at reduction cell 1"):
        space.network(DARTS_V1, (3, 15, 16))
    with pytest.raises(ShapeError, match="padded=True"):
        space.evaluate(space.sample(1), Columns(1, (16, 30)))
    with pytest.raises(ShapeError, match="stem0"):
        DARTS("imagenet").network(DARTS_V1, (3, 225, 97))
    assert DARTS(layers=3, channels=2, padded=True).network(DARTS_V1, (3, 15, 16))


# Once-for-all ----------------------------------------------------------------------------------------------------


def test_ofa_nominal_sizes():
    """251 for 3x3 and two blocks per stage, 1651 for 7x7 and four, squeeze-and-excitation ignored."""
    least, most = {"ks": 3, "e": 3, "d": 2}, {"ks": 7, "e": 6, "d": 4}
    sizes, ignored, _ = evaluated(OFAMobileNetV3(False).candidates([least, most]), (224, 224))
    assert sizes.tolist() == [251, 1651]
    sizes, counted, columns = evaluated(OFAMobileNetV3().candidates([least, most]), (224, 224))
    assert sizes.tolist() == [math.inf, math.inf]
    assert all(columns.table.exact[k].terms[0][0].is_constant for k in counted.output.exact)
    np.testing.assert_array_equal(ignored.parameters, counted.parameters)
    np.testing.assert_array_equal(ignored.macs, counted.macs)


def test_ofa_notations():
    space = OFAMobileNetV3()
    arch = space.parse({"ks": 5, "e": [4] * 20, "d": (3, 3, 3, 3, 2)})
    text = space.format(arch)
    assert json.loads(text) == {"ks": [5] * 20, "e": [4] * 20, "d": [3, 3, 3, 3, 2]}
    for other in (text, str(json.loads(text)), arch, {**json.loads(text), "wid": None, "r": [224]}):
        assert space.parse(other) == arch


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FormatError, "not a sub-network"),
        ("[1]", FormatError, "not a sub-network"),
        ("{" * 5000, FormatError, "not a sub-network"),
        (3, FormatError, "not a sub-network"),
        ("x" * 30_000, FormatError, "30000 characters"),
        ({"ks": 3, "e": 3}, FormatError, "'d'"),
        ({"ks": 3, "e": 3, "d": 2, "f": 1}, FormatError, "'f'"),
        ({"ks": "3", "e": 3, "d": 2}, FormatError, "'ks' must be"),
        ({"ks": [3] * 19, "e": 3, "d": 2}, NetworkError, "'ks' has 19 numbers; it takes 20"),
        ({"ks": 3, "e": [3] * 19 + [5], "d": 2}, NetworkError, r"'e'\[19\] is 5"),
        ({"ks": 3, "e": 3, "d": 1}, NetworkError, r"'d'\[0\] is 1"),
    ],
)
def test_ofa_malformed(text, error, message):
    with pytest.raises(error, match=message):
        OFAMobileNetV3().parse(text)
