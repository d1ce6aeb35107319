"""What `ignore` leaves out of an answer, and what the answer says of it."""

import math

import pytest

import fastrf
from fastrf.cli import commands as cli
from tests import snippets

CONV = {"op": "conv", "out_channels": 4, "kernel_size": 3}


def analyse(*layers, **options):
    return fastrf.analyze({"input_shape": [3, 32, 40], "layers": [dict(layer) for layer in layers]}, **options)


@pytest.mark.parametrize(
    "norm",
    [
        {"op": "layer_norm", "axes": [0, 1, 2]},
        {"op": "rms_norm", "axes": [1]},
        {"op": "group_norm", "groups": 2},
        {"op": "instance_norm"},
    ],
)
def test_norms_act_pointwise_without_their_statistics(norm):
    layers = ({**CONV, "name": "a"}, {**norm, "name": "norm"}, {**CONV, "name": "b", "stride": 2})
    plain = analyse({**CONV, "name": "a"}, {**CONV, "name": "b", "stride": 2})
    found = analyse(*layers, ignore=["statistics"])
    assert found.output.dependency == plain.output.dependency
    assert (found.output.size, found.output.stride) == ((5, 5), (2, 2))
    assert found.output.exact
    assert found["a"].assumes == ()
    assert found["norm"].assumes == found.output.assumes
    assert found.output.assumes == ("the statistics of norms are taken for constants, as ignore='statistics' says",)
    assert analyse(*layers).output.assumes == ()
    assert found.network == analyse(*layers).network


def gated(operands):
    return (
        {**CONV, "name": "x"},
        {"name": "mean", "op": "mean", "axes": [1, 2], "keepdims": True},
        {"name": "gate", "op": "conv", "out_channels": 4, "kernel_size": 1},
        {"name": "product", "op": "mul", "inputs": operands},
        {**CONV, "name": "y"},
    )


@pytest.mark.parametrize("operands", [["x", "gate"], ["gate", "x"]])
def test_gates_are_factors_that_are_the_same_at_every_position(operands):
    found = analyse(*gated(operands), ignore="gates").output
    assert found.size == (5, 5)
    assert [text.partition(" are ")[0] for text in found.assumes] == ["factors that"]
    named = analyse(*gated(operands), ignore="ga*").output
    assert named.dependency == found.dependency
    assert named.assumes == ("'gate' is taken for a constant, as ignore='ga*' says",)
    squeezed = analyse({**CONV}, {"op": "squeeze_excitation", "squeeze_channels": 2}, {**CONV}, ignore="gates")
    assert squeezed.output.dependency == found.dependency


def test_a_factor_along_one_position_axis_is_no_gate():
    layers = (
        {**CONV, "name": "x"},
        {"name": "rows", "op": "mean", "axes": [2], "keepdims": True},
        {"name": "product", "op": "mul", "inputs": ["x", "rows"]},
    )
    assert analyse(*layers, ignore="gates").output.dependency == analyse(*layers).output.dependency


def test_names_that_nothing_has_are_errors_and_costs_stay():
    with pytest.raises(fastrf.UnknownNodeError, match=r"ignore='gaet' matches no node .*did you mean gate\?"):
        analyse(*gated(["x", "gate"]), ignore="gaet")
    plain, found = (analyse(*gated(["x", "gate"]), ignore=what) for what in ((), ("gates", "statistics")))
    assert [row.parameters for row in plain.summary().rows] == [row.parameters for row in found.summary().rows]


def test_assumptions_are_kept_in_files_tables_and_round_trips(tmp_path, capsys):
    analysis = analyse(*gated(["x", "gate"]), ignore=["gates"])
    field = analysis.output
    field.save(tmp_path / "field.npz")
    assert fastrf.load_field(tmp_path / "field.npz").assumes == field.projective().assumes == field.assumes
    assert analysis.summary().rows[-1].assumes == field.assumes
    assert str(analysis.summary()).splitlines()[-1] == f"assumes: {field.assumes[0]}"
    spec = {"input_shape": [3, 8, 8], "layers": [{**CONV, "assumes": ["a is b"]}], "assumes": ["all is well"]}
    network = fastrf.load(spec)
    assert fastrf.Network.from_dict(network.to_dict()) == network
    assert fastrf.analyze(network).output.assumes == ("all is well", "a is b")
    with pytest.raises(fastrf.FormatError, match="'assumes' must be a list of printable texts"):
        fastrf.load({**spec, "assumes": ["\x1b[31m"]})
    with pytest.raises(SystemExit):
        cli.main(["mask", "alexnet", "--node", "conv1", "--ignore", "conv1"])
    assert "assumes: 'conv1' is taken for a constant" in capsys.readouterr().out


def test_the_channel_axis_can_be_said_and_is_shown():
    spec = {"input_shape": [32, 40, 3], "layers": [{"op": "relu"}]}
    found = fastrf.analyze(spec, channel_axis=-1)
    assert (found.output.pixel_shape, found.output.position_shape) == ((32, 40), (32, 40))
    assert "channels on axis 2" in repr(found.network)
    assert "channels on axis 2" in found.summary().title
    assert fastrf.load(spec, channel_axis={"input": None}).inputs["input"].channel_axis is None
    assert fastrf.analyze(spec, channel_axis=None).output.pixel_shape == (32, 40, 3)
    for axis, message in ((3, "not an axis of"), ("first", "must be an axis"), ({"image": 0}, "which is no input")):
        with pytest.raises(fastrf.ShapeError, match=message):
            fastrf.load(spec, channel_axis=axis)
    for options in ({"mask_below": "low"}, {"values": {"sr": 1}}, {"on_unsupported": "skip"}):
        with pytest.raises(fastrf.NetworkError, match=next(iter(options))):
            fastrf.load(spec, **options)
    for below in (0, 5, math.inf, math.nan):  # what adds nothing cannot exclude: nothing would be seen at all
        with pytest.raises(fastrf.NetworkError, match="a number below 0"):
            fastrf.load(spec, mask_below=below)
    for ignore in (3, ["statistics", None]):
        with pytest.raises(fastrf.UsageError, match="ignore must be statistics, gates, a name"):
            fastrf.analyze(spec, ignore=ignore)


def test_options_of_a_source_on_the_command_line(capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(["summary", "alexnet", *arguments])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out + err

    assert "no channel axis" in run("--channel-axis", "none")[1]
    assert "channels on axis 2" in run("--channel-axis", "input=2")[1]
    for bad in (["--channel-axis", "x"], ["--channel-axis", "1", "--channel-axis", "2"], ["--value", "sr"]):
        code, told = run(*bad)
        assert code == 2
        assert bad[0] in told
    assert run("--value", "sr=16000") == (
        2,
        "fastrf: values names 'sr', but a spec has no control inputs; leave it out\n",
    )


def test_the_page_on_assumptions_is_true():
    assert snippets.check_python((snippets.ROOT / "docs" / "assumptions.md").read_text()) == 4
