"""Pictures: what artists hold is what fields say, at any resolution; what cannot be drawn is told in one line."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest

import fastrf
from fastrf import anchors, plot
from tests.strategies import random_spec

pytest.importorskip("matplotlib").use("agg")
from matplotlib.figure import Figure  # noqa: E402 (the extra may be missing)

LAYERS = [fastrf.conv(4, 3, dilation=2, padding=2, name="holes"), fastrf.conv(8, 2, stride=3, name="down")]


@pytest.fixture
def field():
    return fastrf.analyze(LAYERS, (3, 20, 31)).output


@pytest.fixture
def sequence():
    layers = [
        fastrf.conv(2, 3, dilation=2, padding="causal"),
        fastrf.conv(2, 3, padding=1),
        fastrf.conv(1, 2, stride=2),
    ]
    return fastrf.analyze(layers, (1, 40)).output


def image_of(ax, k=0):
    """What an image of some Axes holds."""
    return np.asarray(
        ax.images[k].get_array().filled(0) if np.ma.isMA(ax.images[k].get_array()) else ax.images[k].get_array()
    )


def line_of(ax, label):
    """The data of a line, int or float[n, 2]."""
    return next(line for line in ax.lines if line.get_label() == label).get_xydata()


def drawn(ax):
    """Draws, which may fail where making did not."""
    ax.figure.canvas.draw()
    return ax


def test_a_mask_with_its_box_and_centre(field):
    ax = drawn(plot.mask(field, (2, 4), ax=Figure()))
    assert np.array_equal(image_of(ax), field.mask((2, 4)))
    (top, bottom), (left, right) = field.box((2, 4)) - 0.5
    assert line_of(ax, "box of what is seen").tolist() == [
        [left, top], [right, top], [right, bottom], [left, bottom], [left, top],
    ]  # fmt: skip
    assert line_of(ax, "centre").tolist() == [field.centers()[2, 4][::-1].tolist()]
    assert ax.get_title() == f"down at (2, 4)\nsees {field.areas()[2, 4]} of 620 pixels, box 6 x 6"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x (pixels)", "y (pixels)")
    assert image_of(plot.mask(field, ax=Figure())).tolist() == field.mask((3, 5)).tolist()


def test_a_mask_of_a_neuron(field):
    ax = plot.mask(field, neuron=(1, 0, 0), ax=Figure())
    assert np.array_equal(image_of(ax), field.neuron_pixels((1, 0, 0)))
    assert ax.get_title().startswith("down at neuron (1, 0, 0)")
    with pytest.raises(fastrf.UsageError, match="exclude each other"):
        plot.mask(field, (0, 0), neuron=(1, 0, 0), ax=Figure())


def test_masks_of_a_grid_of_positions(field):
    axes = plot.masks(field, ax=Figure())
    assert len(axes) == 9
    for ax, position in zip(
        axes, [(0, 0), (0, 5), (0, 9), (3, 0), (3, 5), (3, 9), (6, 0), (6, 5), (6, 9)], strict=True
    ):
        assert np.array_equal(image_of(drawn(ax)), field.mask(position))
        assert ax.get_title() == f"({position[0]}, {position[1]}): {field.areas()[position]} pixels"
    own = Figure().subplots(1, 2)
    assert plot.masks(field, [(1, 1), (2, 2)], ax=own) == [*own]


def test_masks_of_several_architectures(field):
    other = fastrf.analyze([fastrf.conv(1, 5)], (1, 9, 9)).output
    axes = plot.compare({"one": field, "other": other}, ax=Figure())
    assert [image_of(ax).shape for ax in axes] == [(20, 31), (9, 9)]
    assert axes[1].get_title() == "other\n25 of 81 pixels\nbox 5 x 5"
    assert plot.compare([field, other], (1, 1), ax=Figure())[1].get_title().startswith("conv1 at (1, 1)")


def test_maps_hold_what_fields_say(field):
    assert np.array_equal(image_of(drawn(plot.areas(field, ax=Figure()))), field.areas())
    assert np.allclose(image_of(drawn(plot.densities(field, ax=Figure()))), field.densities())
    ax = drawn(plot.clipped(field, ax=Figure()))
    assert np.array_equal(image_of(ax), field.clipped())
    assert f"{field.clipped_share:.1%} cut" in ax.get_title()


def test_coverage_and_blind_spots():
    field = fastrf.analyze([LAYERS[0], fastrf.conv(8, 2, stride=5, name="down")], (3, 20, 31)).output
    ax = drawn(plot.coverage(field, ax=Figure()))
    seen = field.coverage()
    assert np.array_equal(image_of(ax), seen)
    assert np.array_equal(image_of(ax, 1), seen == 0)
    assert f"{np.sum(seen == 0)} of 620 pixels are blind" in ax.get_title()
    whole = fastrf.analyze([fastrf.conv(1, 3, padding=1)], (1, 5, 5)).output
    ax = plot.coverage(whole, ax=Figure())
    assert (len(ax.images), ax.get_title()) == (1, "conv1: coverage, no blind spot")


@pytest.mark.parametrize("rng", range(12), indirect=True)
def test_everything_of_random_networks(rng):
    """Whatever the axes are, a picture is made, or one line says why not."""
    analysis = fastrf.analyze(random_spec(rng, layers=6))
    drawn(plot.growth(analysis, ax=Figure()))
    one = list(analysis.values())[-1]
    for draw in (
        plot.mask,
        plot.masks,
        plot.areas,
        plot.densities,
        plot.clipped,
        plot.coverage,
        plot.matrix,
        plot.slices,
    ):
        with contextlib.suppress(fastrf.FastRFError):
            found = draw(one, ax=Figure(layout="constrained"))
            drawn(found[0] if isinstance(found, list) else found)


def test_growth_tells_sizes_and_saturation():
    analysis = fastrf.analyze("resnet18", (3, 227, 227))
    ax = drawn(plot.growth(analysis, ax=Figure()))
    sizes = [field.size[0] for field in analysis.values()]
    found = line_of(ax, "nominal size")[:, 1]
    assert np.array_equal(found, [size if math.isfinite(size) else np.nan for size in sizes], equal_nan=True)
    assert line_of(ax, "unbounded")[:, 0].tolist() == [k for k, size in enumerate(sizes) if math.isinf(size)]
    middles = [field.box(tuple(n // 2 for n in field.position_shape)) for field in analysis.values()]
    assert line_of(ax, "box of the middle position")[:, 1].tolist() == [box[0, 1] - box[0, 0] for box in middles]
    assert [text.get_text() for text in ax.texts] == ["input: 227"]


def test_layers_are_named_by_modules_as_deep_as_it_takes():
    shallow = [fastrf.conv(1, 3, padding=1, name=f"stage{k}.conv{n}") for k in (1, 2) for n in range(4)]
    deep = [fastrf.conv(1, 3, padding=1, name=f"body.stage{k}.conv{n}") for k in (1, 2) for n in range(4)]
    for layers, expected in ((shallow, ["input", "stage1", "stage2"]), (deep, ["input", "body.stage1", "body.stage2"])):
        ax = drawn(plot.growth(fastrf.analyze(layers, (1, 9, 9)), ax=Figure()))
        assert [tick.get_text() for tick in ax.get_xticklabels()] == expected


def test_growth_of_axes_that_differ():
    analysis = fastrf.analyze([fastrf.conv(1, (3, 5), name="a"), {"op": "resize", "scale": 2, "mode": "nearest"},
                               fastrf.conv(1, 3)], (1, 20, 30))  # fmt: skip
    ax = drawn(plot.growth(analysis, ax=Figure()))
    assert line_of(ax, "nominal size (y)")[:, 1].tolist() == [1, 3, 3, 4]
    assert line_of(ax, "nominal size (x)")[:, 1].tolist() == [1, 5, 5, 6]
    assert sorted(text.get_text() for text in ax.texts) == ["input: 20 (y)", "input: 30 (x)"]


def test_the_lattice_of_a_detector():
    analysis = fastrf.analyze("s3fd", (3, 640, 640))
    axes = plot.lattice(analysis, anchors="s3fd", ax=Figure())
    report = anchors.report(analysis, list(analysis.network.outputs), "s3fd", effective=False)
    for ax, level in zip(axes, report.levels, strict=True):
        looks, stands = line_of(drawn(ax), "neurons look"), line_of(ax, "anchors stand")
        assert looks[0].tolist() == [level.center[1][0], level.center[0][0]]
        assert stands[0].tolist() == list(level.anchor_center[::-1])
        assert np.allclose(np.diff(np.unique(stands[:, 0])), level.stride[1])
    with pytest.raises(fastrf.UsageError, match="give an analysis"):
        plot.lattice(analysis.output)


def test_an_effective_field_has_contours_that_hold_shares():
    analysis = fastrf.analyze([fastrf.conv(1, 5, padding=2)] * 4, (1, 41, 41))
    weights = anchors.effective(analysis, "conv4")
    ax = drawn(plot.effective(weights, analysis.output, shares=(0.5, 0.9), ax=Figure()))
    assert np.allclose(image_of(ax), weights.weights / weights.weights.max())
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["holds 0.9 of the weight", "holds 0.5 of the weight", "box of what is seen"]
    outer, inner = (collection.get_paths()[0] for collection in ax.collections[-2:])
    pixels = np.stack(np.meshgrid(np.arange(41), np.arange(41)), -1).reshape(-1, 2)
    held = [weights.weights.ravel()[path.contains_points(pixels)].sum() for path in (outer, inner)]
    assert np.allclose(held, [0.9, 0.5], atol=0.03)
    for wrong, match in ((0, "between 0 and 1"), (2, "between 0 and 1")):
        with pytest.raises(fastrf.UsageError, match=match):
            plot.effective(weights, shares=[wrong], ax=Figure())
    with pytest.raises(fastrf.UsageError, match=r"anchors\.effective"):
        plot.effective(analysis.output)
    others = [analysis["conv3"], fastrf.analyze([fastrf.conv(1, 5)], (1, 50, 50)).output]
    others += [fastrf.analyze([fastrf.conv(1, 7, padding=3)] * 4, (1, 41, 41)).output]
    for other in others:
        with pytest.raises(fastrf.UsageError, match="give the field of the same layer of the same analysis"):
            plot.effective(weights, other, ax=(figure := Figure()))
        assert not figure.axes


def test_an_effective_field_of_one_axis():
    analysis = fastrf.analyze([fastrf.conv(1, 5, padding=2)] * 3, (1, 31))
    weights = anchors.effective(analysis, "conv3")
    ax = drawn(plot.effective(weights, analysis.output, ax=Figure()))
    assert np.allclose(ax.lines[0].get_ydata(), weights.weights)


def test_the_matrix_of_a_sequence(sequence):
    ax = drawn(plot.matrix(sequence, ax=Figure()))
    dense = sequence.to_csr().toarray()
    late = np.zeros_like(dense)
    late[tuple(sequence.leaks(0).T)] = True
    assert np.array_equal(image_of(ax), dense.astype(int) + late)
    assert ax.get_title() == "conv3, which reads later samples"
    assert "read, and later than the step" in [text.get_text() for text in ax.get_legend().get_texts()]
    causal = fastrf.analyze([fastrf.conv(2, 3, padding="causal")], (1, 9)).output
    assert plot.matrix(causal, ax=Figure()).get_title() == "conv1, which is causal"


def test_the_matrix_of_a_map(field):
    ax = plot.matrix(field, ax=Figure())
    assert np.array_equal(image_of(ax), field.to_csr().toarray())
    assert ax.get_xlabel() == "pixel of the input (20 x 31, row by row)"
    rows = image_of(plot.matrix(field, axis=0, ax=Figure()))
    dense = field.masks().reshape(7, 10, 20, 31).any(axis=(1, 3))
    assert np.array_equal(rows > 0, dense)


def test_slices_of_a_volume():
    field = fastrf.analyze([fastrf.conv(1, 3, dilation=3)], (1, 12, 13, 14)).output
    axes, mask = plot.slices(field, (1, 2, 3), ax=Figure()), field.mask((1, 2, 3))
    assert [ax.get_title().split("\n")[1] for ax in axes] == ["z = 4", "y = 5", "x = 6"]
    for ax, plane in zip(axes, (mask[4], mask[:, 5], mask[:, :, 6]), strict=True):
        assert np.array_equal(image_of(drawn(ax)), plane)
    assert (axes[0].get_xlabel(), axes[2].get_ylabel()) == ("x (voxels)", "z (voxels)")
    assert plot.areas(field, ax=Figure()).get_title() == "conv1: area\nplane 3"
    assert np.array_equal(image_of(plot.areas(field, ax=Figure())), field.areas()[3])
    seen = image_of(plot.coverage(field, ax=Figure()))
    assert np.array_equal(seen, field.coverage()[6])
