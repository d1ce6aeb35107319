"""Networks that do another thing on a tile: refused where that is seen, and never planned without a word."""

from __future__ import annotations

import pytest

import fastrf
from fastrf.tiling import plan, stream

POOLED = [fastrf.layer("adaptive_avg_pool", output_size=16, name="pool")]
ALIGNED = [fastrf.layer("resize", scale=2, mode="linear", coordinates="align_corners", name="up")]


@pytest.mark.parametrize(
    ("layers", "said"), [(POOLED, "'pool' .* always makes 16"), (ALIGNED, "'up' .* aligns corners")]
)
def test_what_fits_one_size_alone_is_refused_by_name(layers, said):
    analysis = fastrf.analyze(layers, (1, 32))
    with pytest.raises(fastrf.ShapeError, match=f"axis 0 cannot be cut: {said}.*take None for its tile"):
        plan(analysis, 20)
    with pytest.raises(fastrf.ShapeError, match="cannot be cut"):
        plan(analysis, None, image_shape=(1, 64 if layers is POOLED else 63))
    with pytest.raises(fastrf.ShapeError, match="cannot be cut"):
        stream(analysis)
    assert plan(analysis, None).n_tiles == 1


def test_pools_that_a_skip_hides_are_refused_too():
    """Behind a resize to the image's size, no shape tells that the pool made as many positions of a tile."""
    spec = {
        "input_shape": [1, 32],
        "layers": [
            {"name": "pool", "op": "adaptive_avg_pool", "output_size": 8},
            {"name": "up", "op": "resize", "scale": 4},
            {"name": "sum", "op": "add", "inputs": ["input", "up"]},
        ],
    }
    with pytest.raises(fastrf.ShapeError, match="'pool'"):
        plan(fastrf.analyze(spec), 16)


def test_axes_that_stay_whole_may_be_pooled_to_any_size():
    layers = [fastrf.layer("adaptive_max_pool", output_size=[None, 4]), fastrf.conv(1, 3, padding=1)]
    analysis = fastrf.analyze(layers, (1, 32, 8))
    assert plan(analysis, (16, None)).n_tiles > 1
    with pytest.raises(fastrf.ShapeError, match="axis 1 cannot be cut"):
        plan(analysis, (16, 6))


def test_corners_may_be_aligned_in_whole_steps():
    layers = [fastrf.layer("resize", output_size=[65], mode="linear", coordinates="align_corners")]
    assert plan(fastrf.analyze(layers, (1, 33)), 17).n_tiles > 1


def test_no_plan_is_without_a_word_about_places():
    analysis = fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 32))
    for made in (plan(analysis, 8), plan(analysis.output, 8), stream(analysis)):
        assert "does not know where a tile lies" in made.assumes[-1]


def test_constant_maps_are_named():
    torch = pytest.importorskip("torch")

    class Located(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv1d(2, 1, 3)

        def forward(self, x):
            return self.conv(torch.cat([x, torch.linspace(-1, 1, x.shape[-1])[None, None]], 1))

    class Masked(torch.nn.Module):
        def forward(self, x):
            return x * (torch.arange(x.shape[-1]) % 2)

    for model in (Located(), Masked()):
        made = plan(fastrf.analyze(model, (1, 32)), 16)
        assert "constants vary with neither place nor size" in made.assumes[0]
