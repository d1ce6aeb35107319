"""check(): what a lock file says of a network that changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

import fastrf
from fastrf import FormatError, Lock

LAYERS = [
    {"name": "a", "op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1},
    {"name": "b", "op": "max_pool", "kernel_size": 2},
    {"name": "c", "op": "conv", "out_channels": 4, "kernel_size": 5, "padding": 2},
    {"name": "d", "op": "global_avg_pool"},
]


def network(**changes):
    """The layers, some of them with other attributes."""
    return fastrf.analyze([layer | changes.get(layer["name"], {}) for layer in LAYERS], (2, 12, 9))


LOCK = Lock.of(network())


def failures(analysis, lock=LOCK):
    return [(one.node, one.kind, one.seen) for one in fastrf.check(analysis, against=lock).failures]


# Against a lock -------------------------------------------------------------------------------------------------------


def test_what_did_not_change_passes():
    result = fastrf.check(network(), against=LOCK)
    assert result
    assert [(one.node, one.seen) for one in result.outcomes] == [("4 modules", "unchanged")]
    assert result.notes == ()
    assert str(result).splitlines()[-1] == "passed: 1 check"


def test_what_changed_is_named_and_what_follows():
    assert failures(network(a={"dilation": 2, "padding": 2})) == [
        ("a", "cause", "size 3 -> 5"),
        ("b", "inherited", "size 4 -> 6"),
        ("c", "inherited", "size 12 -> 14"),
    ]  # and not d, which saw everything before
    assert failures(network(c={"padding": 1}))[0] == ("c", "cause", "shape 4x6x4 -> 4x4x2, start 1 -> 3")
    assert failures(network(c={"padding_mode": "circular"}))[0][1] == "cause"


def test_holes_of_the_same_size_are_seen():
    (first, *_) = failures(network(c={"kernel_size": 3, "dilation": 2}))
    assert first == ("c", "cause", "sees other pixels at the same size: holes, borders or channels")
    assert [name for name, *_ in failures(network(a={"groups": 2}))] == ["a", "b"]  # and c reads all channels of b


def test_names_change_nothing():
    renamed = [layer | {"name": f"x.{layer['name']}"} for layer in LAYERS]
    result = fastrf.check(fastrf.analyze(renamed, (2, 12, 9)), against=LOCK)
    assert result
    assert result.notes == ("renamed: a -> x.a, b -> x.b, c -> x.c, d -> x.d",)


def test_what_is_added_or_removed_is_named():
    more = [*LAYERS[:3], {"name": "new", "op": "relu"}, LAYERS[3]]
    assert failures(fastrf.analyze(more, (2, 12, 9))) == [("new", "added", "added")]
    assert failures(fastrf.analyze([LAYERS[0], *LAYERS[2:]], (2, 12, 9)))[0] == ("b", "removed", "removed")


def test_another_input_is_told_and_nothing_else():
    result = fastrf.check(fastrf.analyze(LAYERS, (2, 12, 12)), against=LOCK)
    assert [(one.node, one.seen) for one in result.failures] == [("inputs", "2x12x9 -> 2x12x12")]
    assert "--input" in result.notes[0]


def test_what_was_measured_against_something_else_is_told():
    result = fastrf.check(fastrf.analyze(LAYERS, (2, 12, 9), wrt="a"), against=LOCK)
    assert [one.seen for one in result.failures] == ["2x12x9 -> 2x12x9 against 'a'"]


def locked(**changes):
    """The lock with an entry that says something else."""
    return replace(LOCK, entries=LOCK.entries | {"c": replace(LOCK.entries["c"], **changes)})


def test_costs_are_no_failure():
    result = fastrf.check(network(), against=locked(parameters=7))
    assert result
    assert result.notes == ("parameters are no check, and differ: c 7 -> 404",)


def test_what_is_taken_for_granted_must_stay_whatever_version_says_it(monkeypatch):
    def saying(*texts):
        layers = [dict(layer) for layer in LAYERS]
        layers[2]["assumes"] = list(texts)
        return fastrf.analyze(layers, (2, 12, 9))

    old = Lock.of(saying("node 'x': torch 2.14.0 excludes -1e9"))
    assert fastrf.check(saying("node 'x_1': torch 2.15.1+cu128 excludes -1e9"), against=old)
    assert fastrf.check(saying(), against=old)
    assert failures(saying("something else"), old)[0] == ("c", "cause", "assumes 1 thing more")
    notes = fastrf.check(saying("something else"), against=old).notes
    assert notes == ("1 follows from others; changed themselves: c", "assumed anew: something else")
    assert fastrf.check(saying("said otherwise by a later fastrf"), against=replace(old, fastrf="0.0.1"))


def test_exactness_must_stay():
    changed = failures(network(), locked(exact=False))
    assert changed == [("c", "cause", "approximate -> exact")]


def test_what_has_no_digest_is_told():
    result = fastrf.check(network(), against=locked(digest=None))
    assert result
    assert result.notes == ("of too many terms for a digest, so that figures alone are compared: c",)


def test_outputs_must_stay():
    layers = {"input_shape": [2, 12, 9], "layers": LAYERS[:3], "outputs": ["c"]}
    lock = Lock.of(fastrf.analyze(layers))
    assert failures(fastrf.analyze(layers | {"outputs": ["b", "c"]}), lock) == [("outputs", "cause", "c -> b, c")]
    ((name, kind, said),) = failures(fastrf.analyze(layers | {"outputs": ["b"]}), lock)
    assert (name, kind) == ("b", "cause")
    assert said.startswith("output size 12 -> 4")


def test_what_was_put_in_is_named_where_nothing_else_changed():
    old, new = (
        fastrf.analyze([*LAYERS[:2], *more, *LAYERS[2:]], (2, 12, 9))
        for more in ((), ({"name": "more", "op": "max_pool", "kernel_size": 2, "stride": 1},))
    )
    notes = fastrf.check(new, against=Lock.of(old)).notes
    assert any("put in or taken out: more" in note for note in notes), notes


def test_lock_files_say_where_the_module_stands(tmp_path):
    path = tmp_path / "rf.lock.json"
    LOCK.save(path)
    result = fastrf.check(network(c={"dilation": 2, "padding": 4}), against=path)
    (first,) = result.failures
    assert path.read_text().splitlines()[first.line - 1].startswith('  "c": {')
    assert (first.file, first.rule) == (str(path), f"as in {path}")
    path.write_text(path.read_text()[:-40])
    with pytest.raises(FormatError, match="not JSON"):
        fastrf.check(network(), against=path)


def test_rules_and_a_lock_together():
    result = fastrf.check(network(a={"dilation": 2, "padding": 2}), ["a.size == 5", "c.size == 12"], against=LOCK)
    assert not result
    assert list(result.checks) == ["a.size == 5", "c.size == 12", "as in the lock"]
    assert result.verdict == "FAILED: 2 of 3 checks"
    assert "FAIL" in result._repr_html_()
    assert result.to_pandas().shape[0] == 5


# Real models ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resnet():
    """ResNet-50, its lock, and a way to change it."""
    models = pytest.importorskip("torchvision").models

    def made(change=None):
        model = models.resnet50(weights=None)
        if change is not None:
            change(model)
        return model

    return made, Lock.of(fastrf.analyze(made(), (3, 224, 224)))


@pytest.mark.slow
def test_a_dilation_in_resnet50_is_named_with_all_that_follow(resnet):
    made, lock = resnet

    def change(model):
        model.layer3[2].conv2.dilation = model.layer3[2].conv2.padding = (2, 2)

    analysis = fastrf.analyze(made(change), (3, 224, 224))
    found = failures(analysis, lock)
    assert [one for one in found if one[1] == "cause"] == [("layer3.2.conv2", "cause", "size 171 -> 203")]
    names = list(lock.entries)
    after = names[names.index("layer3.2.conv2") : names.index("avgpool")]
    assert sorted(name for name, *_ in found) == sorted(after)


@pytest.mark.slow
def test_a_stride_that_moves_in_resnet50_is_named_at_both_ends(resnet):
    made, lock = resnet

    def change(model):
        model.layer3[0].conv1.stride, model.layer3[0].conv2.stride = (2, 2), (1, 1)

    found = failures(fastrf.analyze(made(change), (3, 224, 224)), lock)
    assert [name for name, kind, _ in found if kind == "cause"] == ["layer3.0.conv1", "layer3.0.conv2"]
    assert "layer3.0.downsample.0" not in [name for name, *_ in found]


@pytest.mark.slow
def test_new_names_in_resnet50_change_nothing(resnet):
    made, lock = resnet
    torch = pytest.importorskip("torch")

    class Renamed(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.stem = torch.nn.Sequential(model.conv1, model.bn1, model.relu, model.maxpool)
            self.stages = torch.nn.Sequential(model.layer1, model.layer2, model.layer3, model.layer4)
            self.pool, self.head = model.avgpool, model.fc

        def forward(self, image):
            return self.head(self.pool(self.stages(self.stem(image))).flatten(1))

    result = fastrf.check(fastrf.analyze(Renamed(made()), (3, 224, 224)), against=lock)
    assert result
    assert result.notes[0].startswith("renamed: conv1 -> stem.0")


def test_a_padding_mode_in_a_unet_is_named():
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class UNet(nn.Module):
        def __init__(self, mode="zeros"):
            super().__init__()
            self.down, self.pool = nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2)
            self.middle = nn.Conv2d(4, 4, 3, padding=1, padding_mode=mode)
            self.up, self.last = nn.ConvTranspose2d(4, 4, 2, 2), nn.Conv2d(8, 2, 1)

        def forward(self, x):
            skip = self.down(x)
            return self.last(torch.cat([skip, self.up(self.middle(self.pool(skip)))], 1))

    lock = Lock.of(fastrf.analyze(UNet(), (1, 32, 24)))
    kept = fastrf.check(fastrf.analyze(UNet("reflect"), (1, 32, 24)), against=lock)  # which sees what it saw
    assert kept
    assert any(note.startswith("made otherwise, but seeing the same") for note in kept.notes)
    found = failures(fastrf.analyze(UNet("circular"), (1, 32, 24)), lock)
    assert [(name, kind) for name, kind, _ in found] == [
        ("middle", "cause"),
        ("up", "inherited"),
        ("cat", "inherited"),
        ("last", "inherited"),
    ]


def functional(torch, first):
    """Two modules, and functions before, between and behind them, which PyTorch numbers."""
    nn = torch.nn

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv1d(1, 2, 3), nn.Conv1d(2, 2, 3)

        def forward(self, x):
            x = torch.relu(x) if first else x
            return self.two(torch.relu(self.one(x))) + 1

    return Functional()


def test_functions_come_and_go_between_modules():
    torch = pytest.importorskip("torch")
    without, more = (fastrf.analyze(functional(torch, first), (1, 20)) for first in (False, True))
    result = fastrf.check(more, against=Lock.of(without))
    assert result  # though the first is called as the second was
    assert result.notes[-1].startswith("other functions between modules, which is no failure: ")
    assert fastrf.check(without, against=Lock.of(more))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
@pytest.mark.slow
def test_another_way_through_pytorch_changes_nothing(name):
    """Operators are written otherwise by torch.export, as they are from version to version."""
    models = pytest.importorskip("torchvision").models
    model = getattr(models, name)(weights=None)
    lock = Lock.of(fastrf.analyze(model, (3, 64, 64), capture="record"))
    result = fastrf.check(fastrf.analyze(model, (3, 64, 64), capture="export"), against=lock)
    assert result, str(result)
