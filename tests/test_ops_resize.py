"""Resizing: which pixels each output samples, for every kernel and every rule of coordinates."""

import math

import pytest

from tests.one_layer import field_of, line, refuses


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({}, [[0], [2]]),  # o * 2
        ({"rounding": "ceil"}, [[0], [2]]),
        ({"coordinates": "half_pixel"}, [[0], [2]]),  # 0.5 and 2.5
        ({"coordinates": "half_pixel", "rounding": "ceil"}, [[1], [3]]),
        ({"coordinates": "half_pixel", "rounding": "round_prefer_floor"}, [[0], [2]]),
        ({"coordinates": "half_pixel", "rounding": "round_prefer_ceil"}, [[1], [3]]),
        ({"coordinates": "align_corners"}, [[0], [3]]),
        ({"coordinates": "pytorch_half_pixel", "rounding": "ceil"}, [[1], [3]]),
    ],
)
def test_nearest_from_four_pixels_to_two(attributes: dict, wanted: list) -> None:
    assert line("resize", 4, output_size=2, **attributes) == wanted


@pytest.mark.parametrize(
    ("coordinates", "wanted"),
    [
        ("half_pixel", [[0], [0, 1], [0, 1], [1]]),  # -1/4 (clipped), 1/4, 3/4, 5/4 (clipped)
        ("asymmetric", [[0], [0, 1], [1], [1]]),  # 0, 1/2, 1, 3/2 (clipped)
        ("align_corners", [[0], [0, 1], [0, 1], [1]]),  # 0, 1/3, 2/3, 1
        ("pytorch_half_pixel", [[0], [0, 1], [0, 1], [1]]),
    ],
)
def test_linear_from_two_pixels_to_four(coordinates: str, wanted: list) -> None:
    assert line("resize", 2, mode="linear", output_size=4, coordinates=coordinates) == wanted


@pytest.mark.parametrize(
    ("coordinates", "wanted"),
    [("half_pixel", [[1, 2]]), ("align_corners", [[0]]), ("pytorch_half_pixel", [[0]]), ("asymmetric", [[0]])],
)
def test_linear_from_four_pixels_to_one(coordinates: str, wanted: list) -> None:
    assert line("resize", 4, mode="linear", output_size=1, coordinates=coordinates) == wanted


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"coordinates": "tf_half_pixel_for_nn"}, [[1], [3]]),  # 1 and 3
        ({"coordinates": "tf_crop_and_resize", "roi": [[0, 0.5]]}, [[0], [1]]),  # 0 and 3/2
        ({"coordinates": "tf_crop_and_resize", "roi": [[1, 0]]}, [[3], [0]]),
        ({"coordinates": "tf_crop_and_resize", "roi": [[-1, 1]]}, [[], [3]]),  # -3 lies outside
        ({"mode": "linear", "coordinates": "half_pixel_symmetric", "step": [[3, 2]]}, [[0, 1], [2, 3]]),  # 3/4 and 9/4
        ({"mode": "cubic", "cubic_coeff_a": 0}, [[0, 1], [2, 3]]),  # no weight beyond the two neighbours
    ],
)
def test_the_places_of_onnx(attributes: dict, wanted: list) -> None:
    assert line("resize", 4, output_size=2, **attributes) == wanted


def test_what_lies_outside_can_be_left_out() -> None:
    # One output at 3, beyond pixel 2: all its weight is on a pixel outside, which pixel 2 stands for unless left out.
    assert line("resize", 3, mode="cubic", output_size=1, step=[[7, 1]]) == [[2]]
    assert line("resize", 3, mode="cubic", output_size=1, step=[[7, 1]], exclude_outside=True) == [[]]


def test_a_tap_of_weight_zero_does_not_count() -> None:
    assert line("resize", 6, mode="linear", output_size=2) == [[1], [4]]  # at 1 and at 4, exactly
    assert line("resize", 9, mode="cubic", output_size=3) == [[1], [4], [7]]


def test_cubic_reads_four_pixels() -> None:
    assert line("resize", 6, mode="cubic", output_size=3) == [[0, 1, 2], [1, 2, 3, 4], [3, 4, 5]]
    assert line("resize", 1, mode="cubic", output_size=2) == [[0], [0]]


def test_area_is_adaptive_pooling() -> None:
    assert line("resize", 5, mode="area", output_size=3) == [[0, 1], [1, 2, 3], [3, 4]]


def test_antialias_widens_the_kernel_when_shrinking() -> None:
    # Centre 2 (o + 1/2), half-width 2: output 1 reads the pixels whose centres lie within (1, 5).
    assert line("resize", 8, mode="linear", output_size=4, antialias=True)[1] == [1, 2, 3, 4]
    # Cubic: half-width 4, within (-1, 7).
    assert line("resize", 8, mode="cubic", output_size=4, antialias=True)[1] == [0, 1, 2, 3, 4, 5, 6]
    assert line("resize", 2, mode="linear", output_size=4, antialias=True) == [[0], [0, 1], [0, 1], [1]]
    # align_corners: the centre of output o is (n - 1) / (m - 1) (o + 1/2) = 3 (o + 1/2), the half-width 3.
    aligned = line("resize", 4, mode="linear", output_size=2, antialias=True, coordinates="align_corners")
    assert aligned == [[0, 1, 2, 3], [2, 3]]


@pytest.mark.parametrize(
    ("attributes", "sizes", "stride"),
    [
        ({"mode": "nearest", "scale": 2}, (1, 1), 0.5),
        ({"mode": "nearest", "scale": 0.5, "coordinates": "half_pixel"}, (1, 1), 2),
        ({"mode": "linear", "scale": 2}, (2, 2), 0.5),
        ({"mode": "linear", "scale": 2, "coordinates": "asymmetric"}, (1, 2), 0.5),
        ({"mode": "cubic", "scale": 2}, (4, 4), 0.5),
        ({"mode": "linear", "scale": 0.5, "antialias": True}, (4, 4), 2),
        ({"mode": "linear", "output_size": 7, "coordinates": "align_corners"}, (1, 2), 0.5),
        ({"mode": "linear", "output_size": 1, "coordinates": "align_corners"}, (1, 1), math.inf),
    ],
)
def test_on_an_unbounded_axis(attributes: dict, sizes: tuple, stride: float) -> None:
    field = field_of("resize", [1, 4], **attributes)
    assert field.size_range == (sizes,)
    assert field.stride == (stride,)


@pytest.mark.parametrize(
    ("attributes", "shape"),
    [
        ({"scale": 2}, (3, 8, 10)),
        ({"scale": [0.5, 1.5]}, (3, 2, 7)),  # floor(7.5)
        ({"output_size": [7, 1]}, (3, 7, 1)),
        ({"output_size": 0}, (3, 0, 0)),
    ],
)
def test_output_shape(attributes: dict, shape: tuple) -> None:
    assert field_of("resize", [3, 4, 5], **attributes).shape == shape


def test_axes_are_separate() -> None:
    field = field_of("resize", [2, 2, 4], output_size=[1, 2], mode="linear")
    assert field.neuron_mask((1, 0, 1)).tolist() == [[[False] * 4] * 2, [[False, False, True, True]] * 2]


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "give either output_size or scale"),
        ({"output_size": 2, "scale": 2}, "give either output_size or scale"),
        ({"scale": 0}, "scale must be a positive number, or one per spatial axis, not 0"),
        ({"scale": [2, 2]}, "scale must be a positive number, or one per spatial axis, not (2, 2)"),
        ({"scale": float("nan")}, "scale must be a positive number"),
        ({"scale": 2, "mode": "bilinear"}, "mode 'bilinear' is unknown; use one of nearest, linear, cubic, area"),
        ({"scale": 2, "coordinates": "corners"}, "coordinates 'corners' is unknown; use one of half_pixel"),
        ({"scale": 2, "roi": [[0, 1], [0, 1]]}, "roi must be one [start, end] per spatial axis"),
        ({"scale": 2, "rounding": "up"}, "rounding 'up' is unknown; use one of floor, ceil"),
        ({"output_size": [2, 2]}, "output_size has 2 values for 1 axes"),
    ],
)
def test_errors_name_the_remedy(attributes: dict, message: str) -> None:
    refuses(message, "resize", [1, 4], **attributes)
