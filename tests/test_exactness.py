"""Every neuron of random networks against brute force, and every query against the dense truth."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastrf
from fastrf import ReceptiveField
from tests import reference
from tests.conftest import scaled
from tests.strategies import networks, random_spec

Truth = np.ndarray


def neuron_by_neuron(field: ReceptiveField) -> Truth:
    """bool[*shape, *input_shape], asked for one neuron at a time."""
    dense = np.zeros((*field.shape, *field.input_shape), bool)
    for neuron in np.ndindex(*field.shape):
        dense[neuron] = field.neuron_mask(neuron)
    return dense


def from_csr(field: ReceptiveField) -> Truth:
    """bool[*shape, *input_shape], all neurons at once."""
    return field.to_csr(channels=True).toarray().reshape((*field.shape, *field.input_shape))


def positional(field: ReceptiveField, truth: Truth) -> Truth:
    """bool[*position_shape, *pixel_shape]: any channel of the node, any channel of the input."""
    if field.input_channel_axis is not None:
        truth = truth.any(axis=len(field.shape) + field.input_channel_axis)
    return truth if field.channel_axis is None else truth.any(axis=field.channel_axis)


def pixel_axes(field: ReceptiveField) -> tuple[int, ...]:
    """The axes of a positional truth that count pixels."""
    return tuple(range(len(field.position_shape), len(field.position_shape) + len(field.pixel_shape)))


def hull(mask: np.ndarray) -> list[int]:
    """The half-open hull of a boolean line, [0, 0) of an empty one."""
    found = np.flatnonzero(mask)
    return [int(found[0]), int(found[-1]) + 1] if found.size else [0, 0]


# Networks ------------------------------------------------------------------------------------------------------------


@given(networks(), st.integers(0, 5))
def test_every_neuron_of_every_node_is_exact(spec: dict, number: int) -> None:
    layer = spec["layers"][number % len(spec["layers"])]["name"]
    for wrt in [*reference.input_shapes(spec), layer]:
        analysis, truths = fastrf.analyze(spec, wrt=wrt), reference.propagate(spec, wrt)
        assert list(analysis) == list(truths)
        for name, truth in truths.items():
            field = analysis[name]
            assert field.shape + field.input_shape == truth.shape, (name, wrt)
            assert np.array_equal(neuron_by_neuron(field), truth), (name, wrt)
            assert np.array_equal(from_csr(field), truth), (name, wrt)


@pytest.mark.acceptance
@pytest.mark.parametrize("rng", range(scaled(300)), indirect=True)
def test_random_networks_of_eight_layers_are_exact(rng: np.random.Generator) -> None:
    spec = random_spec(rng, layers=8)
    layer = spec["layers"][rng.integers(len(spec["layers"]))]["name"]
    for wrt in [*reference.input_shapes(spec), layer]:
        analysis = fastrf.analyze(spec, wrt=wrt)
        for name, truth in reference.propagate(spec, wrt).items():
            assert np.array_equal(from_csr(analysis[name]), truth), (name, wrt, spec)


# Queries -------------------------------------------------------------------------------------------------------------

Case = tuple[ReceptiveField, Truth]
on_random_networks = pytest.mark.parametrize("rng", range(1000, 1000 + scaled(30)), indirect=True)


@pytest.fixture
def cases(rng: np.random.Generator) -> list[Case]:
    """Every field of a random network with its truth, of neurons."""
    spec = random_spec(rng, layers=6)
    wrt = list(reference.input_shapes(spec))[-1]
    analysis = fastrf.analyze(spec, wrt=wrt)
    return [(analysis[name], truth) for name, truth in reference.propagate(spec, wrt).items()]


@on_random_networks
def test_masks_of_one_place(cases: list[Case]) -> None:
    for field, truth in cases:
        seen = positional(field, truth)
        for position in np.ndindex(*field.position_shape):
            assert np.array_equal(field.mask(position), seen[position])
        for neuron in np.ndindex(*field.shape):
            pixels = truth[neuron]
            if field.input_channel_axis is not None:
                pixels = pixels.any(axis=field.input_channel_axis)
            assert np.array_equal(field.neuron_pixels(neuron), pixels)


@on_random_networks
def test_masks_of_all_places(cases: list[Case]) -> None:
    for field, truth in cases:
        seen = positional(field, truth).reshape(-1, *field.pixel_shape)
        assert np.array_equal(field.masks(), seen)
        lines = seen if field.pixel_shape else seen[:, None]
        assert np.array_equal(field.masks(packed=True), np.packbits(lines, axis=-1))


@on_random_networks
def test_masks_of_chosen_places(cases: list[Case], rng: np.random.Generator) -> None:
    for field, truth in cases:
        if not field.position_shape or 0 in field.position_shape:
            continue
        chosen = rng.integers(0, field.position_shape, (5, len(field.position_shape)))
        wanted = positional(field, truth)[tuple(chosen.T)]
        out = np.ones(wanted.shape, bool)
        assert field.masks(chosen, out=out) is out
        assert np.array_equal(out, wanted)
        assert np.array_equal(field.masks(chosen), wanted)


@on_random_networks
def test_boxes_areas_and_densities(cases: list[Case]) -> None:
    for field, truth in cases:
        seen, axes = positional(field, truth), pixel_axes(field)
        hulls = [hulls_along(seen, axis, axes) for axis in axes]
        boxes = np.stack(hulls, axis=-2) if hulls else np.zeros((*field.position_shape, 0, 2), int)
        areas = seen.sum(axis=axes)
        volumes = np.prod(boxes[..., 1] - boxes[..., 0], axis=-1)
        assert np.array_equal(field.boxes(), boxes)
        assert np.array_equal(field.areas(), areas)
        assert np.array_equal(field.densities(), areas / np.maximum(volumes, 1))
        for position in np.ndindex(*field.position_shape):
            assert np.array_equal(field.box(position), boxes[position])


def hulls_along(seen: Truth, axis: int, axes: tuple[int, ...]) -> np.ndarray:
    """int[*position_shape, 2]: the hull of every position along one pixel axis."""
    lines = seen.any(axis=tuple(a for a in axes if a != axis))
    found = np.array([hull(line) for line in lines.reshape(-1, lines.shape[-1])], int)
    return found.reshape(*lines.shape[:-1], 2)


@on_random_networks
def test_intervals(cases: list[Case]) -> None:
    for field, truth in cases:
        seen, positions = positional(field, truth), len(field.position_shape)
        for axis in range(min(positions, len(field.pixel_shape))):
            others = tuple(a for a in range(seen.ndim) if a not in (axis, positions + axis))
            wanted = np.array([hull(line) for line in seen.any(axis=others)], int).reshape(-1, 2)
            assert np.array_equal(field.intervals(axis), wanted)


@on_random_networks
def test_coverage(cases: list[Case]) -> None:
    for field, truth in cases:
        seen = positional(field, truth)
        assert np.array_equal(field.coverage(), seen.sum(axis=tuple(range(len(field.position_shape)))))


@on_random_networks
def test_sparse_matrices(cases: list[Case]) -> None:
    for field, truth in cases:
        seen = positional(field, truth)
        rows, columns = math.prod(field.position_shape), math.prod(field.pixel_shape)
        matrix = field.to_csr()
        assert matrix.dtype == bool
        assert np.array_equal(matrix.toarray(), seen.reshape(rows, columns))
        assert field.to_csr(channels=True).nnz == truth.sum()


@on_random_networks
def test_the_projective_field_is_the_transpose(cases: list[Case]) -> None:
    for field, truth in cases:
        forward = tuple(range(truth.ndim))
        transposed = truth.transpose(*forward[len(field.shape) :], *forward[: len(field.shape)])
        projective = field.projective()
        assert np.array_equal(from_csr(projective), transposed)
        assert np.array_equal(projective.areas(), field.coverage())
        assert np.array_equal(from_csr(projective.projective()), truth)


@on_random_networks
def test_fields_survive_a_file(cases: list[Case], tmp_path: Path) -> None:
    for field, truth in cases:
        field.save(tmp_path / "field.npz")
        loaded = fastrf.load_field(tmp_path / "field.npz")
        assert np.array_equal(from_csr(loaded), truth)
        assert np.array_equal(loaded.areas(), field.areas())
        for name in ("name", "shape", "pixel_shape", "channel_axis", "approximate_at", "size_range", "stride"):
            assert repr(getattr(loaded, name)) == repr(getattr(field, name))  # nan is not itself
