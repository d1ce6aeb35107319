"""Diffs name exactly the modules that changed, and what their positions gain and lose."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest

import fastrf
from fastrf import zoo
from fastrf.checks import comparing
from fastrf.checks.diffing import compare
from fastrf.checks.locks import Lock
from fastrf.cli.commands import main
from fastrf.errors import FormatError, LimitError, ShapeError, UsageError

TWO = [
    fastrf.conv(4, 3, stride=2, padding=1, name="one"),
    fastrf.relu(name="mid"),
    fastrf.conv(4, 3, padding=1, name="two"),
    fastrf.relu(name="end"),
]
MOVED = [
    fastrf.conv(4, 3, padding=1, name="one"),
    fastrf.relu(name="mid"),
    fastrf.conv(4, 3, stride=2, padding=1, name="two"),
    fastrf.relu(name="end"),
]


def names(changes):
    return [change.name for change in changes]


def spec(name, **changed):
    """A network of the zoo with other attributes of some layers."""
    found = copy.deepcopy(zoo.build(name))
    for layer in found["layers"]:
        layer.update(changed.get(layer["name"].replace(".", "_"), {}))
    return found


def test_a_stride_moved_between_two_layers():
    found = fastrf.diff(TWO, MOVED, (1, 16, 16))
    assert names(found.causes) == ["one", "two"]
    assert names(found.inherited) == ["mid", "end"]
    assert found.title == "network: 2 changed, 2 inherited"
    one, two = found.causes
    assert one.changed == ("shape", "stride", "digest", "macs")
    assert (one.old.stride, one.new.stride, one.unknown) == ((2, 2), (1, 1), "the maps differ in size")
    assert (two.old.size, two.new.size) == ((7, 7), (5, 5))
    assert (two.pixels.position, two.pixels.gained, two.pixels.lost) == ((4, 4), 0, 24)
    assert (two.pixels.positions, two.pixels.among) == (64, 64)


def test_a_layer_before_which_all_is_as_it_was_is_the_only_cause():
    old, new = spec("resnet50"), spec("resnet50", layer3_1_conv2={"dilation": 2, "padding": 2})
    found = fastrf.diff(old, new)
    assert names(found.causes) == ["layer3.1.conv2"]
    analyses = [fastrf.analyze(one) for one in (old, new)]
    differ = [name for name in analyses[0] if analyses[0][name] != analyses[1][name]]
    assert sorted(names(found.changes)) == sorted(differ)
    locks = [Lock.parse(Lock.of(one).to_text()) for one in analyses]
    for sides in ((locks[0], locks[1]), (locks[0], analyses[1]), (analyses[0], locks[1])):
        again = compare(*sides)
        assert [(c.name, c.kind) for c in again.changes] == [(c.name, c.kind) for c in found.changes]
        assert {c.pixels for c in again.changes} == {None}
        assert "a lock file holds none: layer3.1.conv2" in str(again)


def test_a_padding_mode_that_moves_pixels_and_one_that_does_not():
    old = spec("unet")
    found = fastrf.diff(old, spec("unet", enc2_conv1={"padding_mode": "circular"}), (1, 64, 64))
    assert names(found.causes) == ["enc2.conv1"]
    pixels = found.causes[0].pixels
    assert (pixels.position, pixels.lost) == ((0, 0), 0)
    assert pixels.holes_before == 0 < pixels.holes_after
    assert "holes" in str(found)
    same = fastrf.diff(old, spec("unet", enc2_conv1={"padding_mode": "reflect"}), (1, 64, 64))
    assert not same
    assert same.same == ("enc2.conv1",)
    assert str(same) == "unet: no changes in 49 modules\nmade otherwise, sees the same: enc2.conv1"


def test_a_renamed_module_changes_nothing():
    other = [*TWO[:2], fastrf.conv(4, 3, padding=1, name="head.conv"), TWO[3]]
    found = fastrf.diff(TWO, other, (1, 16, 16))
    assert not found
    assert found.renamed == (("two", "head.conv"),)
    assert str(found).splitlines() == ["network: no changes in 4 modules", "renamed: two -> head.conv"]


def test_names_in_sentences_are_no_change():
    sides = []
    for name in ("two", "other.two"):
        layers = [{"name": "one", "op": "conv", "out_channels": 1, "kernel_size": 3}]
        layers.append({"name": name, "op": "relu", "assumes": [f"{name!r} is dense"]})
        sides.append({"input_shape": [1, 8, 8], "layers": [*layers, {"name": "end", "op": "relu"}]})
    found = fastrf.diff(*sides)
    assert (found.changes, found.renamed) == ((), (("two", "other.two"),))
    sides[1]["layers"][1]["assumes"] = ["other"]
    found = fastrf.diff(*sides)
    assert [(c.name, c.kind, c.changed) for c in found.changes] == [
        ("other.two", "cause", ("assumes",)),
        ("end", "inherited", ("assumes",)),
    ]
    assert "other.two assumes now: other" in found.notes


def test_what_is_added_and_removed():
    pool = fastrf.max_pool(3, 1, 1, name="pool")
    found = fastrf.diff(TWO, [*TWO[:2], pool, *TWO[2:]], (1, 16, 16))
    assert [(c.name, c.kind) for c in found.changes] == [("pool", "added"), ("two", "inherited"), ("end", "inherited")]
    found = fastrf.diff([*TWO[:2], pool, *TWO[2:]], TWO, (1, 16, 16))
    assert [(c.name, c.kind) for c in found.changes] == [
        ("pool", "removed"),
        ("two", "inherited"),
        ("end", "inherited"),
    ]
    assert found.removed[0].new is None


def test_a_layer_that_reads_another_one_is_a_cause():
    def net(read):
        layers = [
            {"name": "a", "op": "conv", "out_channels": 1, "kernel_size": 3, "padding": 1},
            {"name": "b", "op": "conv", "out_channels": 1, "kernel_size": 3, "padding": 1},
            {"name": "c", "op": "relu", "inputs": [read]},
        ]
        return {"input_shape": [1, 8, 8], "layers": layers, "outputs": ["b", "c"]}

    assert [(c.name, c.kind) for c in fastrf.diff(net("a"), net("b")).changes] == [("c", "cause")]


def test_cost_is_a_change_and_another_input_the_cause_of_all():
    wide = [fastrf.conv(4, 3, padding=1, bias=False, stride=2, name="one"), *TWO[1:]]
    found = fastrf.diff(TWO, wide, (1, 16, 16))
    assert [(c.name, c.kind, c.changed) for c in found.changes] == [("one", "cause", ("parameters",))]
    assert "40 -> 36" in str(found)
    sides = [fastrf.analyze(TWO, (1, n, n)) for n in (16, 20)]
    found = fastrf.diff(*sides)
    assert set(names(found.inherited)) == {"one", "mid", "two", "end"}
    assert found.notes[0] == "inputs: input 1x16x16 -> input 1x20x20"


def test_channels_that_are_mixed_otherwise():
    sides = [[fastrf.conv(4, 3, groups=groups, bias=False, name="c")] for groups in (1, 2)]
    change = fastrf.diff(*sides, (4, 8, 8)).causes[0]
    assert (change.pixels.of, change.pixels.gained) == ("neuron", 0)
    assert change.pixels.lost == 2 * 9


def drawn(rng, shape):
    """A network that keeps its map's size: layers with holes and borders of all kinds, some beside each other."""
    layers, n = [{"name": "stem", "op": "relu"}], len(shape)
    for k in range(4):
        kernel, dilation = rng.choice([1, 3], n), rng.integers(1, 3, n)
        layer = {
            "name": f"c{k}",
            "op": "conv",
            "out_channels": 1,
            "inputs": [str(rng.choice([x["name"] for x in layers]))],
        }
        layer |= {"kernel_size": kernel.tolist(), "dilation": dilation.tolist()}
        layer |= {"padding": ((kernel - 1) * dilation // 2).tolist()}
        layers.append(layer | {"padding_mode": str(rng.choice(["zeros", "reflect", "circular"]))})
    layers.append({"name": "sum", "op": "add", "inputs": [layer["name"] for layer in layers[-2:]]})
    return {"input_shape": [1, *shape], "layers": layers}


@pytest.mark.parametrize("rng", range(12), indirect=True)
def test_examples_are_those_of_dense_masks(rng):
    """Counts of positions, gains and losses are those of the masks; halves and draws find what differs, too."""
    shape = rng.integers(4, 10, rng.integers(1, 3)).tolist()
    sides = [fastrf.analyze(drawn(rng, shape)).output for _ in range(2)]
    old, new = sides
    before, after = (np.asarray(side.masks()).reshape(*side.position_shape, *side.pixel_shape) for side in sides)
    differ = (before != after).reshape(*old.position_shape, -1).any(axis=-1)
    found = comparing.compared(old, new)
    if not differ.any():
        assert found == ""
        return
    assert (found.of, found.positions, found.among) == ("position", differ.sum(), differ.size)
    one, other = before[found.position], after[found.position]
    assert (found.before, found.after) == (one.sum(), other.sum())
    assert (found.gained, found.lost) == ((other & ~one).sum(), (one & ~other).sum())
    assert all(other[place] and not one[place] for place in found.gained_at)
    assert all(one[place] and not other[place] for place in found.lost_at)
    assert differ[comparing._halved(old.positional, new.positional)]
    tried = comparing._tried(old.positional, new.positional)
    assert tried is None or differ[tried]


def test_too_many_terms_are_halved_then_tried_then_said(monkeypatch):
    sides = [fastrf.analyze(one, (1, 16, 16)).output for one in (TWO, MOVED)]
    refuse = LimitError("too many")

    def refused(*_):
        raise refuse

    with monkeypatch.context() as patch:
        patch.setattr(comparing, "dense_row", refused)
        assert comparing.compared(*sides) == "position (4, 4) sees otherwise; its pixels are not told: too many"
    monkeypatch.setattr(comparing, "areas", refused)
    found = comparing.compared(*sides)
    assert (found.positions, found.position) == (None, (0, 0))
    monkeypatch.setattr(comparing, "fingerprint", refused)
    assert comparing.compared(*sides).position == (4, 4)
    monkeypatch.setattr(comparing, "dense_row", refused)
    assert comparing.compared(*sides) == "too many terms to compare: too many"


def test_every_form(tmp_path):
    found = fastrf.diff(TWO, MOVED, (1, 16, 16))
    told = json.loads(found.to_json())
    assert told["schema"] == "fastrf.diff/1"
    assert [c["name"] for c in told["changes"]] == ["one", "two", "mid", "end"]
    assert told["changes"][1]["pixels"]["lost_at"][0] == [5, 5]
    assert found.to_csv().splitlines()[0].startswith("name,was,module,kind,changed,old_shape,new_shape")
    markdown = found.to_markdown()
    assert markdown.startswith("**network: 2 changed, 2 inherited**\n\n| module |")
    assert "<details><summary>2 inherited</summary>\n\n| module |" in markdown
    assert "two" in found._repr_html_()
    assert max(map(len, found.to_text(60).splitlines())) <= 60
    assert len(fastrf.diff(TWO, TWO, (1, 8, 8)).to_csv().splitlines()) == 1


def test_files_on_either_side(tmp_path):
    path, other = tmp_path / "rf.lock.json", tmp_path / "net.json"
    Lock.of(fastrf.analyze(TWO, (1, 16, 16))).save(path)
    other.write_text(json.dumps(fastrf.load(MOVED, (1, 8, 8)).to_dict()))
    found = fastrf.diff(path, str(other))  # asked for the input of the lock
    assert names(found.causes) == ["one", "two"]
    assert not fastrf.diff(path, path)


def test_what_cannot_be_compared_is_told(tmp_path):
    analysis = fastrf.analyze(TWO, (1, 16, 16))
    with pytest.raises(UsageError, match="both sides are analysed"):
        fastrf.diff(analysis, analysis, (1, 8, 8))
    with pytest.raises(ShapeError, match="no input shape"):
        fastrf.diff(TWO, MOVED)
    other = tmp_path / "summary.json"
    other.write_text(analysis.summary().to_json())
    with pytest.raises(FormatError, match=r"'fastrf\.summary/1' is neither a network nor a lock file"):
        fastrf.diff(other, analysis)
    with pytest.raises(FormatError, match="is not a network"):
        fastrf.diff(analysis, 3)
    with pytest.raises(FormatError, match="check the path"):
        fastrf.diff(analysis, "absent.json")


def test_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shape = {"input_shape": [1, 16, 16]}
    for name, layers in (("a.json", TWO), ("b.json", MOVED)):
        Path(name).write_text(json.dumps({**fastrf.load(layers, (1, 16, 16)).to_dict(), **shape}))

    def run(*words):
        with pytest.raises(SystemExit) as stop:
            main(["diff", *words])
        return stop.value.code, *capsys.readouterr()

    Lock.of(fastrf.analyze("a.json")).save("rf.lock.json")
    assert run("a.json", "b.json")[0] == 0
    code, out, _ = run("a.json", "b.json", "--exit-code")
    assert (code, "2 changed, 2 inherited" in out) == (1, True)
    assert run("a.json", "a.json", "--exit-code")[:2] == (0, "network: no changes in 4 modules\n")
    assert run("rf.lock.json", "a.json", "--exit-code")[0] == 0
    assert "| one | cause |" in run("rf.lock.json", "b.json", "--markdown")[1]
    assert json.loads(run("rf.lock.json", "b.json", "--json")[1])["old"]["model"] == "network"
    assert run("a.json", "b.json", "-o", "diff.md", "-q")[0] == 0
    assert Path("diff.md").read_text().startswith("**network: 2 changed")
    assert "module" in run("a.json", "b.json", "--columns", "module,stride")[1]
    for words, said in (
        (("rf.lock.json", "rf.lock.json", "--input", "1x8x8"), "both sides are lock files"),
        (("a.json", "b.json", "--input", "1x0x8"), "fastrf: a.json: input_shape"),
        (("a.json", "nowhere.json"), "check the path"),
        (("a.json", "diff.md"), "diff.md"),
        (("a.json", "b.json", "-o", "diff.md"), "--overwrite replaces it"),
    ):
        code, out, err = run(*words)
        assert (code, out) == (2, "")
        assert said in err
        assert err.count("\n") == 1
