"""What constants exclude from a softmax: minus infinity always, numbers far below any score by an assumption."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastrf
from fastrf.frontends.masking import exclusions, offset

HALF, SINGLE = (float(np.finfo(t).min) for t in (np.float16, np.float32))


def excludes(row: list[float], below: float = -1e6) -> list[bool]:
    return exclusions(np.array(row), -1, below)[0].tolist()


@pytest.mark.parametrize("low", [-math.inf, HALF, SINGLE, float(np.finfo(np.float64).min), -1e6, -1e9])
def test_low_numbers_exclude(low: float) -> None:
    assert excludes([0.0, low, math.nan]) == [False, True, False]


@pytest.mark.parametrize("high", [-1e4, -100.0, -9.9e5, 0.0, 1e9, math.nan, math.inf])
def test_others_do_not(high: float) -> None:
    assert excludes([0.0, high]) == [False, False]


def test_the_limit_is_the_users() -> None:
    assert excludes([0.0, -100.0], below=-100) == [False, True]
    assert excludes([0.0, -1e9, SINGLE, -math.inf], below=-math.inf) == [False, False, False, True]


def test_a_row_that_is_masked_alike_excludes_nothing() -> None:
    """Softmax does not change where the same is added to all."""
    assert excludes([SINGLE, SINGLE]) == [False, False]
    assert excludes([-1e9, -2e9]) == [False, True]
    assert excludes([-math.inf, -1e9]) == [True, False]


def test_what_is_assumed_names_the_numbers() -> None:
    assert exclusions(np.array([0.0, -1e9, SINGLE]), -1, -1e6)[1] == (
        "-1e+09 and -3.40282e+38 (the smallest float32) in what a softmax reads excludes, as minus infinity does"
    )
    assert exclusions(np.array([0.0, -math.inf]), -1, -1e6)[1] == ""


def test_sums_of_masks_stay_low_and_scores_do_not_matter() -> None:
    unknown = (np.array([math.nan]), None)
    assert offset("add", [unknown, (np.array([-1e9]), None)]).tolist() == [-1e9]
    assert offset("sub", [unknown, (np.array([1e9]), None)]).tolist() == [-1e9]
    twice = [(np.array([math.nan]), np.array([HALF])), (np.array([HALF]), None)]
    assert offset("add", twice).tolist() == [HALF]  # minus infinity in its own type
    assert offset("mul", [(np.array([math.nan]), np.array([-1e9])), (np.array([0.125]), None)]).tolist() == [-1.25e8]
    assert offset("maximum", [(np.array([math.nan]), np.array([-1e9])), (np.array([-5.0]), None)]).tolist() == [-5.0]


@pytest.mark.parametrize(
    ("low", "seen", "said"), [(-math.inf, 3, False), (-1e9, 3, True), (SINGLE, 3, True), (-1e4, 4, False)]
)
def test_a_spec_adds_numbers_to_scores(low: float, seen: int, said: bool) -> None:
    mask = [[0.0 if k <= q else low for k in range(4)] for q in range(4)]
    layer = {"name": "mix", "op": "attention", "inputs": ["input", "input", "input"], "mask": mask}
    field = fastrf.analyze({"input_shape": [4, 2], "channel_axis": 1, "layers": [layer]}).output
    assert int(field.mask((2,)).sum()) == seen
    assert field.exact
    assert bool(field.assumes) == said
    assert not said or field.assumes[0].startswith(f"node 'mix': {low:g}")


def test_numbers_above_zero_are_no_mask_of_a_spec() -> None:
    layer = {"op": "attention", "inputs": ["input", "input", "input"], "mask": [[1, 0], [1, 1]]}
    with pytest.raises(fastrf.ShapeError, match="2 rows of 2 booleans"):
        fastrf.analyze({"input_shape": [2, 2], "layers": [layer]})
