"""Tiles: worked plans a person can redo, what is refused, and laws of all plans."""

from __future__ import annotations

import numpy as np
import pytest

import fastrf
from fastrf.tiling import plan


def test_a_plan_by_hand():
    """A conv of 3 that pads by 1: tiles of 8 keep 6 in the middle, and 7 at the image's ends."""
    made = plan(fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 20)), 8)
    assert [tile.read for tile in made.tiles] == [((0, 8),), ((6, 14),), ((12, 20),)]
    assert [tile.keep for tile in made.tiles] == [((0, 7),), ((1, 7),), ((1, 8),)]
    assert [tile.place for tile in made.tiles] == [((0, 7),), ((7, 13),), ((13, 20),)]
    assert (made.cost, made.n_tiles, made.tile_shape) == (24 / 20, 3, (8,))


def test_tiles_leave_the_rest_that_the_image_leaves():
    """Steps of 4, an image of 23 = 5 * 4 + 3: tiles of 16 read 15, of which 3 blocks and a rest are left."""
    layers = [fastrf.max_pool(2), fastrf.max_pool(2)]
    made = plan(fastrf.analyze(layers, (1, 23)), 16)
    assert [tile.read for tile in made.tiles] == [((0, 15),), ((8, 23),)]
    assert [tile.place for tile in made.tiles] == [((0, 3),), ((3, 5),)]


def test_the_last_tile_is_shifted_back():
    made = plan(fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 15)), 8)
    assert [tile.read for tile in made.tiles] == [((0, 8),), ((6, 14),), ((7, 15),)]
    assert [tile.place for tile in made.tiles] == [((0, 7),), ((7, 13),), ((13, 15),)]


def test_wrapped_axes_are_read_around():
    circular = [fastrf.layer("pad", padding=[[0, 0], [1, 1]], mode="circular"), fastrf.conv(1, 3)]
    made = plan(fastrf.analyze(circular, (1, 12)), 6, wrap=0)
    assert [tile.read for tile in made.tiles] == [((-1, 5),), ((3, 9),), ((7, 13),)]
    assert not any("around" in told for told in made.assumes)
    ring = plan(fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 12)), 6, wrap=-1)
    assert next(ring.tiles).read == ((-1, 5),)
    assert "read around" in ring.assumes[0]


def test_what_one_node_loses_at_an_end_no_other_hides():
    """A resize reads one pixel at each end where it reads two elsewhere; the pool and the ring behind it hide that."""
    layers = [
        fastrf.resize(scale=2, mode="linear"),
        fastrf.max_pool(3, padding=1, stride=1),
        fastrf.layer("pad", padding=[[0, 0], [1, 3]], mode="circular"),
        fastrf.conv(1, 3, stride=3, dilation=2),
    ]
    assert "not all of the network goes around" in plan(fastrf.analyze(layers, (1, 180)), 116, wrap=0).assumes[0]


def test_images_of_other_sizes_differ_by_whole_steps():
    analysis = fastrf.analyze([fastrf.max_pool(2), fastrf.conv(1, 3)], (1, 20))
    assert plan(analysis, 16, image_shape=(1, 100)).outputs[0].shape == (1, 48)
    assert plan(analysis, 16, image_shape=(100,)) == plan(analysis, 16, image_shape=(1, 100))
    with pytest.raises(fastrf.ShapeError, match="steps of 2; analyse at the image's shape, 1x101"):
        plan(analysis, 16, image_shape=(101,))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"tile": 4}, "axis 0: a tile of 4 has no room for context of 2 before and 2 after and .* at least 5"),
        ({"tile": (8, 8)}, r"tile \(8, 8\) has 2 sizes; give one for each of the 1 pixel axes"),
        ({"tile": 0}, "whole numbers of 1 or more"),
        ({"tile": (2.5,)}, "whole numbers of 1 or more"),
        ({"wrap": 1}, "wrap names axis 1; the image has 1 pixel axes"),
        ({"outputs": ()}, "outputs names no node"),
        ({"image_shape": (2, 30)}, "2 channels, but the network takes 1 on axis 0"),
        ({"image_shape": (1, 2, 30)}, "does not fit an input of shape"),
        ({"image_shape": (1, 0)}, "does not fit an input of shape"),
    ],
)
def test_what_is_refused(given, said):
    analysis = fastrf.analyze([fastrf.conv(1, 5, padding=2)], (1, 30))
    with pytest.raises(fastrf.FastRFError, match=said):
        plan(analysis, **{"tile": 8, **given})


def test_axes_that_must_be_whole_say_why_and_what_helps():
    layers = [fastrf.conv(4, 3, padding=1), {"op": "instance_norm", "name": "norm"}]
    analysis = fastrf.analyze(layers, (1, 16, 16))
    with pytest.raises(
        fastrf.ShapeError, match="whole of axis 0, which 'norm' reads; analyse with ignore='statistics'"
    ):
        plan(analysis, 8)
    assert plan(analysis, None).n_tiles == plan(analysis, 16).n_tiles == 1
    ignored = plan(fastrf.analyze(layers, (1, 16, 16), ignore="statistics"), 8)
    assert "statistics of norms are taken for constants" in ignored.assumes[0]
    circular = [fastrf.layer("pad", padding=[[0, 0], [1, 1]], mode="circular"), fastrf.conv(1, 3)]
    with pytest.raises(fastrf.ShapeError, match="goes around it: take wrap=0"):
        plan(fastrf.analyze(circular, (1, 16)), 8)
    with pytest.raises(fastrf.PositionError, match="no positions to tile"):
        plan(fastrf.analyze("resnet18"), 64)


@pytest.mark.parametrize("seed", range(10))
def test_places_cover_every_output_once(seed):
    rng = np.random.default_rng(seed)
    layers, n = [], int(rng.integers(60, 130))
    for _ in range(rng.integers(1, 5)):
        kernel, stride = int(rng.integers(1, 5)), int(rng.integers(1, 3))
        kind = fastrf.conv_transpose if rng.integers(3) == 0 else fastrf.conv
        layers.append(kind(1, kernel, stride=stride, padding=int(rng.integers(0, kernel))))
    analysis = fastrf.analyze(layers, (1, n, n + 3))
    made = plan(analysis, int(rng.integers(40, 60)))
    seen = np.zeros(analysis.output.position_shape, int)
    for tile in made.tiles:
        assert all(0 <= low < high <= size for (low, high), size in zip(tile.read, (n, n + 3), strict=True))
        assert all(low % axis.period == 0 for (low, _), axis in zip(tile.read, made.axes, strict=True))
        assert [b - a for a, b in tile.keep] == [b - a for a, b in tile.place]
        seen[tuple(slice(a, b) for a, b in tile.place)] += 1
    assert (seen == 1).all()
