"""How one asks why: commands, forms, errors, and what is said in words."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

import fastrf
from fastrf.cli import commands

LATTICE = [fastrf.conv(4, 3, dilation=2, padding=2, name=f"wide{k}") for k in (1, 2)]
SPARSE = [fastrf.conv(4, 1, stride=2, name="down"), fastrf.conv(4, 3, padding=1, name="next")]
#: Two branches that meet: the skip has its own pixel alone.
BLOCK = {
    "input_shape": [2, 12, 12],
    "layers": [
        {"name": "wide", "op": "conv", "out_channels": 2, "kernel_size": 5, "padding": 2},
        {"name": "sum", "op": "add", "inputs": ["wide", "input"]},
    ],
}


@pytest.fixture
def run(capsys, monkeypatch):
    """Run `fastrf why` and give (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setenv("COLUMNS", "80")
        with pytest.raises(SystemExit) as stop:
            commands.main(["why", *arguments])
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_a_widest_way_from_the_input_on():
    found = fastrf.analyze("alexnet", (3, 227, 227))["pool5"].why()
    adds = {reason.name: reason.adds[0] for reason in found.reasons}
    assert sum(adds.values()) == 195 - 1
    assert (adds["conv2"], adds["conv1"], adds["pool5"]) == (4 * 8, 10, 2 * 16)
    assert list(adds.values()) == sorted(adds.values(), reverse=True)


def test_where_branches_meet_it_is_said_which_has_the_pixel():
    field = fastrf.analyze(BLOCK).output
    assert field.why((4, 4), (4, 4)).path == (("input", (4, 4)), ("sum", (4, 4)))
    assert field.why((4, 4), (4, 4)).reasons[-1].reads == ("wide", "input")
    aside = field.why((4, 4), (4, 5))
    assert aside.path == (("input", (4, 5)), ("wide", (4, 4)), ("sum", (4, 4)))
    assert aside.sentences[1] == "Of the branches that meet, one alone has it at 'sum' (from 'wide')."


def test_pixels_that_are_not_read_are_told_in_one_line():
    lattice, sparse = fastrf.analyze(LATTICE, (1, 32, 32)).output, fastrf.analyze(SPARSE, (1, 32, 32)).output
    told = {
        lattice.why((16, 16), (16, 17)): "'wide2' at (16, 16) does not see pixel (16, 17), which lies within its box "
        "[12, 21) x [12, 21): a hole, which arises at 'wide1' (conv), which reads 'input'.",
        lattice.why(
            (16, 16), (0, 0)
        ): "'wide2' at (16, 16) does not see pixel (0, 0): it lies outside of what it sees, [12, 21) x [12, 21).",
        sparse.why((4, 4), (9, 8)): "No position of 'next' sees pixel (9, 8): it is lost at 'down' (conv), which reads "
        "'input'.",
    }
    for found, sentence in told.items():
        assert (found.path, found.sentences, repr(found)) == (None, (sentence,), f"Why({sentence!r})")
        assert str(found).splitlines()[0] == sentence


def test_holes_and_blind_spots_are_told_beside_the_size():
    found = fastrf.analyze(LATTICE, (1, 32, 32)).output.why()
    assert found.notes[-1].startswith("holes: 56 of 81 pixels in the box of (16, 16) are not read, such as (16, 17)")
    found = fastrf.analyze(SPARSE, (1, 32, 32)).output.why()
    assert found.notes[0].startswith(
        "blind spots: 768 of 1,024 pixels are seen by no position, such as (0, 1), lost at"
    )


def test_fields_that_depend_on_nothing_say_so():
    layers = [{"name": "a", "op": "conv", "out_channels": 1, "kernel_size": 1}]
    spec = {"input_shape": {"x": [1, 8], "y": [1, 8]}, "layers": [{**layers[0], "inputs": ["x"]}]}
    field = fastrf.analyze(spec, wrt="y")["a"]
    for found in (field.why(), field.why(pixel=3), field.why((2,), (3,))):
        assert "'a' reads nothing of 'y'" in found.sentences[0]
        assert found.path is None


def test_fields_are_measured_against_layers_and_inputs_themselves():
    analysis = fastrf.analyze("resnet50", (3, 64, 64), wrt="layer1")
    path = analysis["layer2"].why((1, 1), (2, 2)).path
    assert (path[0], path[-1]) == ((analysis.wrt, (2, 2)), ("layer2.3.relu3", (1, 1)))
    assert analysis[analysis.wrt].why((2, 2), (2, 2)).sentences[0].endswith("as it is the input itself.")
    assert analysis[analysis.wrt].why().reasons == ()


def test_an_analysis_of_one_target_knows_the_layers_in_between():
    one = fastrf.analyze("resnet50", (3, 64, 64), targets="layer2").get("layer2")
    every = fastrf.analyze("resnet50", (3, 64, 64))["layer2"]
    assert one.why((1, 1), (2, 9)) == every.why((1, 1), (2, 9))
    assert one.why() == every.why()


def test_errors_name_the_place_and_the_remedy(tmp_path):
    field = fastrf.analyze(LATTICE, (1, 32, 32)).output
    with pytest.raises(fastrf.PositionError, match=r"position \(32, 0\) is outside the map of \(32, 32\)"):
        field.why((32, 0))
    with pytest.raises(fastrf.PositionError, match=r"pixel \(0, 32\) is outside the input of \(32, 32\)"):
        field.why((0, 0), (0, 32))
    with pytest.raises(fastrf.PositionError, match="pixel 'a' is not a tuple of integers"):
        field.why((0, 0), "a")
    field.save(tmp_path / "field.npz")
    others = [fastrf.load_field(tmp_path / "field.npz"), pickle.loads(pickle.dumps(field)), field.projective()]
    for other in others:
        with pytest.raises(fastrf.UsageError, match=r"does not know its network.*fastrf\.analyze"):
            other.why()


def test_the_command_answers_in_every_form(run, tmp_path: Path):
    code, out, _ = run("resnet50", "--node", "layer4")
    assert code == 0
    assert out.startswith("'layer4.2.relu3' is 427 pixels wide; the widest steps are 'layer4.1.conv2' (+64)")
    _, out, _ = run("resnet50", "--node", "layer4", "--at", "0,0", "--pixel", "9,9", "--json")
    found = json.loads(out)
    assert (found["schema"], found["answer"], found["at"], found["pixel"]) == ("fastrf.why/1", "path", [0, 0], [9, 9])
    assert (found["reasons"][0]["name"], found["reasons"][-1]["position"]) == ("input", [0, 0])
    assert json.loads(fastrf.analyze("resnet50")["layer4"].why((0, 0), (9, 9)).to_json()) == found
    code, _, err = run("resnet50", "-o", str(tmp_path / "why.md"))
    assert (code, err) == (0, f"wrote {tmp_path / 'why.md'}\n")
    assert (tmp_path / "why.md").read_text().startswith("'fc' reads whole axes of 'input'")
    assert run("resnet50", "-o", str(tmp_path / "why.md"))[0] == 2
    _, out, _ = run("resnet50", "--node", "layer4", "--at", "0,0", "--pixel", "223,0")
    assert out.startswith("'layer4.2.relu3' at (0, 0) does not see pixel (223, 0): it lies outside of")
    assert out.count("\n") == 1


def test_the_command_says_in_one_line_what_is_wrong(run):
    for words, told in (
        (("--at", "9,9"), "position (9, 9) is outside the map of (7, 7)"),
        (("--pixel", "224,0"), "pixel (224, 0) is outside the input of (224, 224)"),
        (("--pixel", "1;2"), "--pixel '1;2' is not an index"),
        (("--at", "x"), "--at 'x' is not an index"),
    ):
        code, out, err = run("resnet50", "--node", "layer4", *words)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert told in err
    code, _, err = run("resnet50", "--node", "layr4")
    assert code == 2
    assert "did you mean" in err


def test_notebooks_show_sentences_and_table():
    shown = fastrf.analyze(BLOCK).output.why((4, 4), (4, 5))._repr_html_()
    assert "one alone has it" in shown
    assert "<table" in shown
    assert "<table" not in fastrf.analyze(LATTICE, (1, 32, 32)).output.why((16, 16), (0, 0))._repr_html_()


def test_levels_that_are_joined_have_a_range_and_a_position_its_own_box():
    layers = [
        {"name": "a", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
        {"name": "p", "op": "max_pool", "kernel_size": 2},
        {"name": "b", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
        {"name": "fine", "op": "reshape", "inputs": ["a"], "shape": [2, 256]},
        {"name": "coarse", "op": "reshape", "inputs": ["b"], "shape": [2, 64]},
        {"name": "levels", "op": "concat", "inputs": ["fine", "coarse"], "axis": 1},
    ]
    field = fastrf.analyze({"input_shape": [3, 16, 16], "layers": layers}).output
    told = "'levels' is 3..8 pixels wide; the widest steps are 'b' (+4), 'a' (+2) and 'p' (+1)."
    assert field.why().sentences == (told,)
    assert field.why((40,)).notes == ("at (40,): 9 pixels are read, in the box [1, 4) x [7, 10)",)
    assert field.why((256 + 9,)).notes == ("at (265,): 49 pixels are read, in the box [0, 7) x [0, 7)",)


def test_what_is_read_for_its_size_alone_is_no_branch():
    layers = [
        {"name": "wide", "op": "conv", "out_channels": 2, "kernel_size": 3, "padding": 1},
        {"name": "zeros", "op": "constant", "inputs": "wide", "shape": [2, 12]},
        {"name": "sum", "op": "add", "inputs": ["wide", "zeros"]},
    ]
    found = fastrf.analyze({"input_shape": [1, 12], "layers": layers}).output.why((3,), (4,))
    assert found.reasons[-1].reads == ("wide",)
    assert found.reasons[-1].cause == ""


def test_inputs_beyond_memory_have_reasons_and_paths_all_the_same():
    field = fastrf.analyze(SPARSE, (1, 1 << 20, 1 << 20)).output
    found = field.why()
    assert found.sentences == ("'next' is 5 pixels wide; the widest step is 'next' (+4).",)
    assert found.notes[0].startswith("blind spots and holes were not looked for: one mask")
    assert field.why((70_000, 3), (140_002, 8)).path[1:] == (("down", (70_001, 4)), ("next", (70_000, 3)))
    assert field.why(pixel=(140_001, 7)).kind == "blind"
