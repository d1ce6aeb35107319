"""The registry of operators, and those that act on single elements or on data: worked examples and errors.

The other families have files of their own: `test_ops_windows`, `test_ops_dense`, `test_ops_shape`, `test_ops_resize`.
"""

import numpy as np
import pytest

import fastrf
from fastrf.ops import operator, pointwise
from tests.one_layer import field_of, line, moved, refuses, sees

# Pointwise -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", [*pointwise.UNARY, "batch_norm"])
def test_a_function_of_one_element_reads_that_element(op: str) -> None:
    field = field_of(op, [2, 3])
    assert field.shape == (2, 3)
    assert sees(field, 1, 2) == [(1, 2)]


@pytest.mark.parametrize("op", pointwise.N_ARY)
def test_a_function_of_several_elements_broadcasts(op: str) -> None:
    shapes = ([2, 3], [2, 1], [])
    full, column, scalar = (field_of(op, *shapes, wrt=wrt) for wrt in "abc")
    assert full.shape == column.shape == scalar.shape == (2, 3)
    assert (sees(full, 1, 2), sees(column, 1, 2), sees(scalar, 1, 2)) == ([(1, 2)], [(1, 0)], [()])


def test_channels_are_those_of_the_input_that_has_the_shape() -> None:
    assert field_of("add", [4, 1, 1], [4, 2, 2]).channel_axis == 0
    assert field_of("add", [4], [2, 1]).channel_axis == field_of("add", [2, 1], [4]).channel_axis == 0
    assert field_of("add", [4], [1]).channel_axis is None


def test_shapes_that_do_not_broadcast() -> None:
    refuses("shapes (2, 3) and (2, 2) do not broadcast; make the sizes equal or 1", "add", [2, 3], [2, 2])


# Data-dependent ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 3])
def test_deform_conv(count: int) -> None:
    shapes = ([2, 4], [6, 2], [3, 2])[:count]
    image, offsets, *mask = (
        field_of("deform_conv", *shapes, wrt=wrt, out_channels=5, kernel_size=3) for wrt in "abc"[:count]
    )
    assert image.shape == (5, 2)
    assert image.neuron_mask((4, 0)).all()
    assert sees(offsets, 4, 1) == [(c, 1) for c in range(6)]
    assert [sees(field, 4, 1) for field in mask] == [[(c, 1) for c in range(3)]] * len(mask)
    assert image.approximate_at == ("y",)
    assert not image.exact


def test_grid_sample() -> None:
    image, grid = (field_of("grid_sample", [2, 2, 2], [1, 3, 2], wrt=wrt) for wrt in "ab")
    assert image.shape == (2, 1, 3)
    assert sees(image, 1, 0, 2) == [(1, y, x) for y in (0, 1) for x in (0, 1)]
    assert sees(grid, 1, 0, 2) == [(0, 2, 0), (0, 2, 1)]
    assert image.approximate_at == ("y",)
    assert field_of("grid_sample", [2, 4], [5, 1]).shape == (2, 5)


def test_dynamic_gather() -> None:
    values, index = (field_of("dynamic_gather", [2, 3], [4], wrt=wrt, axis=1) for wrt in "ab")
    assert values.shape == (2, 4)
    assert sees(values, 1, 3) == [(1, 0), (1, 1), (1, 2)]
    assert sees(index, 1, 3) == [(3,)]
    assert values.approximate_at == ("y",)


def test_topk() -> None:
    field = field_of("topk", [2, 3], axis=-1, k=2)
    assert field.shape == (2, 2)
    assert sees(field, 1, 0) == [(1, 0), (1, 1), (1, 2)]
    assert field.approximate_at == ("y",)


def test_sort() -> None:
    field = field_of("sort", [2, 3], axis=0)
    assert field.shape == (2, 3)
    assert sees(field, 1, 2) == [(0, 2), (1, 2)]
    assert field.approximate_at == ("y",)


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        (
            "deform_conv",
            ([2, 4], [6, 3]),
            {"out_channels": 1, "kernel_size": 3},
            "offsets or mask of shape (6, 3) do not fit the output positions (2,)",
        ),
        ("grid_sample", ([2, 4, 4], [3, 3, 1]), {}, "a grid of shape (3, 3, 1) does not address 2 axes of shape"),
        ("dynamic_gather", ([2], [2, 2]), {"axis": 0}, "an index of shape (2, 2) is not a vector; flatten it"),
        ("topk", ([2],), {"axis": 0, "k": 3}, "k = 3 is more than the 2 elements of axis 0"),
        ("sort", ([2],), {"axis": 1}, "axis 1 is not an axis of shape (2,); use -1 to 0"),
    ],
)
def test_data_dependent_errors_name_the_remedy(op: str, shapes: tuple, attributes: dict, message: str) -> None:
    refuses(message, op, *shapes, **attributes)


# Registry ------------------------------------------------------------------------------------------------------------


def test_an_operator_says_what_it_takes() -> None:
    conv = fastrf.ops.OPERATORS["conv"]
    assert (conv.min_inputs, conv.max_inputs) == (1, 1)
    assert conv.required == ("out_channels", "kernel_size")
    assert "dilation" in conv.attributes
    assert (fastrf.ops.OPERATORS["add"].min_inputs, fastrf.ops.OPERATORS["add"].max_inputs) == (1, None)
    assert (fastrf.ops.OPERATORS["deform_conv"].min_inputs, fastrf.ops.OPERATORS["deform_conv"].max_inputs) == (2, 3)


def test_every_operator_has_a_docstring() -> None:
    assert [name for name, operator in fastrf.ops.OPERATORS.items() if not operator.function.__doc__] == []


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("convv", "node 'y': unknown operator 'convv'; did you mean conv"),
        ("qqq", "node 'y': unknown operator 'qqq'; fastrf.ops.OPERATORS lists the known ones"),
    ],
)
def test_unknown_operators(op: str, message: str) -> None:
    with pytest.raises(fastrf.UnsupportedOpError, match=message):
        field_of(op, [2, 3])


@pytest.mark.parametrize(
    ("op", "shapes", "attributes", "message"),
    [
        ("relu", ([2], [2]), {}, "it has 2 inputs but needs 1 inputs; list them in 'inputs'"),
        ("matmul", ([2],), {}, "it has 1 inputs but needs 2 inputs"),
        ("deform_conv", ([2, 2],), {"out_channels": 1, "kernel_size": 1}, "it has 1 inputs but needs 2 to 3 inputs"),
        ("relu", ([2],), {"slope": 1}, "unknown attribute 'slope'; it takes none"),
        ("softmax", ([2],), {"dim": 0}, "unknown attribute 'dim'; it takes axis"),
        ("softmax", ([2],), {}, "attribute 'axis' is missing; give it a value"),
        ("softmax", ([2],), {"axis": "last"}, "does not fit the operator"),
        ("linear", ([2],), {"out_features": {"n": 2}}, "out_features must be an integer, not (('n', 2),)"),
    ],
)
def test_what_the_registry_checks(op: str, shapes: tuple, attributes: dict, message: str) -> None:
    refuses(message, op, *shapes, **attributes)


def test_an_operator_of_any_number_of_inputs_needs_one() -> None:
    spec = {"input_shape": [2], "layers": [{"name": "y", "op": "add", "inputs": []}]}
    with pytest.raises(fastrf.NetworkError, match="it has 0 inputs but needs 1 or more inputs; list them in 'inputs'"):
        fastrf.analyze(spec)


def test_a_user_can_add_an_operator() -> None:
    @fastrf.ops.operator("swap_first_axes")
    def swap(x: object) -> object:
        return x.permute([1, 0, *range(2, x.ndim)])

    try:
        assert sees(field_of("swap_first_axes", [2, 3]), 2, 1) == [(1, 2)]
    finally:
        del fastrf.ops.OPERATORS["swap_first_axes"]


def test_constants_depend_on_nothing():
    field = field_of("constant", [2, 3], shape=[4, 5])
    assert field.shape == (4, 5)
    assert not field.masks().any()


def test_keep_leaves_what_a_mask_lets_through():
    field = field_of("keep", [2, 3], mask=[[True, False, True], [False, True, True]], axes=[0, 1])
    assert moved("keep", [2, 3], mask=[[True, False, True], [False, True, True]], axes=[0, 1]) == [
        [0, -1, 2],
        [-1, 4, 5],
    ]
    assert field.exact
    assert moved("keep", [2, 3], mask=[True, False], axes=0) == [[0, 1, 2], [-1, -1, -1]]
    refuses("a mask of shape (2,) does not fit axes [1]", "keep", [2, 3], mask=[True, False], axes=[1])


def test_opaque_reads_everything_and_says_so():
    field = field_of("opaque", [2, 3], [4], shape=[2, 2])
    assert field.neuron_mask((1, 1)).all()
    assert field.approximate_at == ("y",)


def test_matmul_skips_what_is_zero_by_definition():
    field = field_of("matmul", [2, 3], [3, 1], wrt="b", used=[[True, False, False], [True, True, False]])
    assert sees(field, 1, 0) == [(0, 0), (1, 0)]


def test_resize_by_a_step_that_is_not_the_ratio_of_sizes():
    """5 pixels at a scale of 1.5 make 7; sampled every 2/3 pixel they differ from 5/7."""
    assert line("resize", 5, output_size=7, step=[[2, 3]])[6] == [4]
    assert line("resize", 5, output_size=7, mode="linear", step=[[2, 3]])[1] == [0, 1]
    refuses("step must be one [numerator, denominator]", "resize", [1, 5], output_size=7, step=[[0, 3]])


def test_the_same_number_in_another_type_is_another_attribute():
    assert field_of("conv", [1, 9], out_channels=1, kernel_size=3).shape == (1, 7)
    refuses("kernel_size must be an integer, not 3.0", "conv", [1, 9], out_channels=1, kernel_size=3.0)
    refuses("ceil_mode must be true or false, not 1", "max_pool", [1, 9], kernel_size=2, ceil_mode=1)
    refuses("beyond 2**40", "conv", [1, 9], out_channels=1, kernel_size=10**30)
    assert field_of("conv", [1, 9], out_channels=np.int64(1), kernel_size=np.array([3])).shape == (1, 7)


@pytest.mark.parametrize("name", fastrf.ops.OPERATORS)
def test_an_operator_says_every_fact(name: str) -> None:
    """How weights of paths pass; cost and fan-in, where a kernel says them."""
    facts = fastrf.ops.OPERATORS[name]
    assert facts.paths in ("sum", "mean", "weighted", "through", "data")
    assert facts.channel_axis in (None, "axes", -1, 0, 1)
    assert not facts.statistics or facts.paths == "through"
    if facts.convolution:
        given = {"kernel_size": (3, 2), "stride": 2, "groups": 2}
        fan_in = facts.fan_in(given, [(4, 8, 8)], (6, 4, 4))
        assert fan_in == {"depthwise_conv": 6, "conv_transpose": 3}.get(name, 12)
        weights = 6 * (6 if name == "depthwise_conv" else 12)
        places = 64 if name == "conv_transpose" else 16
        assert facts.cost(given, [(4, 8, 8)], (6, 4, 4)) == (weights + 6, weights * places)


def test_an_operator_that_is_registered_again_forgets_its_recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fastrf.ops.OPERATORS, "relu", fastrf.ops.OPERATORS["relu"])
    assert line("relu", 3) == [[0], [1], [2]]
    operator("relu", paths="sum")(lambda x: x.couple(-1))
    assert line("relu", 3) == [[0, 1, 2]] * 3
