"""Causality of drawn sequence models: verdict and leaking pairs are those of autograd, for every step at once."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf

torch = pytest.importorskip("torch")

from tests.sequence_models import KINDS, Attention, drawn, tril  # noqa: E402

SEEDS = [(seed, None) for seed in range(10)] + [(100 + k, KINDS[k % len(KINDS)]) for k in range(20)]


@pytest.mark.parametrize(("seed", "kind"), SEEDS)
def test_verdict_and_leaking_pairs_are_those_of_autograd(seed, kind):
    rng = np.random.default_rng(seed)
    case = drawn(rng, kind)
    expected = case.leaks(rng)
    analysis = fastrf.analyze(case.model, case.shape, channel_axis=case.channel_axis)
    field = analysis.output
    assert field.leaks(0).tolist() == expected
    assert field.is_causal(0) == (field.lookahead(0) == 0) == (not expected) == (kind is None)
    runs = field.leaks(0, runs=True)
    assert sum(stop - start for _, start, stop in runs.tolist()) == len(expected)
    found = analysis.leaks(0)
    assert sorted(pair for leak in found for pair in leak.pairs().tolist()) == expected
    if kind is not None:  # the first of them come in with the block that leaks
        assert f"{found[0].module}.".removeprefix("blocks.").startswith(f"{case.planted}.")


def test_scores_that_a_mask_closes_are_no_leak():
    blocks = [Attention(tril(6)), Attention(tril(6, 1)), Attention(tril(6))]
    analysis = fastrf.analyze(torch.nn.Sequential(*blocks), (6, 4), channel_axis=1)
    (leak,) = analysis.leaks(0)
    assert (leak.module, leak.count, leak.example) == ("1", 5, (0, 1))
    assert "5 pairs at" in repr(leak)
    assert not analysis.leaks(0, node="0")
