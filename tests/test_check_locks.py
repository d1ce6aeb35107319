"""Lock files: what they hold, that they are the same again, that nothing hostile is read, and which module is which."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

import fastrf
from fastrf import FormatError
from fastrf.checks.locks import SCHEMA, Entry, Lock
from fastrf.checks.matching import matched

LAYERS = [
    fastrf.conv(4, 3, padding=1, name="a"),
    fastrf.max_pool(2, name="b"),
    fastrf.conv(4, 5, padding=2, dilation=1, name="c"),
    fastrf.global_avg_pool(name="d"),
]


def lock(layers=LAYERS, shape=(2, 12, 9)):
    return Lock.of(fastrf.analyze(layers, shape))


def test_an_entry_holds_what_the_field_says():
    analysis = fastrf.analyze(LAYERS, (2, 12, 9))
    found = Lock.of(analysis, model="mine")
    assert (found.model, found.inputs, found.wrt, found.outputs) == ("mine", {"input": (2, 12, 9)}, "input", ("d",))
    assert list(found.entries) == ["a", "b", "c", "d"]
    entry, field = found.entries["c"], analysis["c"]
    assert (entry.shape, entry.size, entry.stride, entry.start) == (field.shape, (12, 12), (2, 2), field.start)
    assert (entry.digest, entry.exact, entry.parameters) == (field.digest(), True, 4 * 4 * 25 + 4)
    assert found.entries["d"].size == (math.inf, math.inf)
    assert found.entries["d"].start == (None, None)


def test_a_lock_file_is_the_same_again(tmp_path):
    path = tmp_path / "rf.lock.json"
    lock().save(path)
    first = path.read_bytes()
    lock().save(path)
    assert path.read_bytes() == first
    assert Lock.read(path) == lock()
    assert Lock.read(path).to_text().encode() == first
    told = json.loads(first)
    assert told["schema"] == SCHEMA
    assert told["entries"]["d"] | {"digest": ""} == {
        "shape": [4, 1, 1],
        "size": ["inf", "inf"],
        "stride": ["inf", "inf"],
        "start": [None, None],
        "digest": "",
        "exact": True,
        "reads": ["c"],
        "made": told["entries"]["d"]["made"],
        "parameters": 0,
        "macs": 0,
    }
    assert first.count(b"\n") == 8 + 4 + 2  # a line for each module: changes are seen where they are


def test_sizes_that_differ_by_phase_are_pairs():
    deconv = [fastrf.conv_transpose(2, 3, stride=2, name="up")]
    found = Lock.parse(lock(deconv, (1, 5, 5)).to_text())
    assert found.entries["up"].size_range == ((1, 2), (1, 2))
    assert '"size": [[1, 2], [1, 2]]' in found.to_text()


def test_what_sees_more_than_can_be_sorted_out_has_no_digest(monkeypatch):
    def none(*_):
        raise fastrf.LimitError("too many")

    monkeypatch.setattr(fastrf.ReceptiveField, "digest", none)
    found = lock()
    assert found.entries["a"].digest is None
    assert Lock.parse(found.to_text()) == found


def spoilt(change):
    told = json.loads(lock().to_text())
    change(told)
    return json.dumps(told)


HOSTILE = {
    "": "empty",
    lock().to_text()[:300]: "not JSON",
    "[" * 100_000: "not JSON",
    "[" * 300 + "]" * 300: "nested",
    "[]": "no schema",
    "7": "no schema",
    '{"schema": "fastrf/lock/1"}': "'inputs' is missing",
    '{"schema": "fastrf/lock/1", "schema": "fastrf/lock/1"}': "twice",
    spoilt(lambda t: t.update(schema="fastrf/lock/2")): "reads 'fastrf/lock/1'",
    spoilt(lambda t: t.update(entries=[])): "not an object",
    spoilt(lambda t: t.update(outputs=["nope"])): "'nope' is no entry",
    spoilt(lambda t: t.update(inputs={"input": [-3]})): "not a shape",
    spoilt(lambda t: t.update(inputs={"input": [10**6, 10**6, 10**6]})): "no network reads",
    spoilt(lambda t: t.update(inputs={"input": []})): "no network reads",
    spoilt(lambda t: t["entries"].update({"a\x1b[2J": t["entries"]["a"]})): "printable",
    spoilt(lambda t: t["entries"].update({"n" * 9000: t["entries"]["a"]})): "printable",
    spoilt(lambda t: t["entries"]["a"].pop("digest")): "entry 'a': key 'digest' is missing",
    spoilt(lambda t: t["entries"]["a"].update(digest="xyz")): "16 hexadecimal",
    spoilt(lambda t: t["entries"]["a"].update(exact="yes")): "neither true nor false",
    spoilt(lambda t: t["entries"]["a"].update(size=[1])): "different numbers of axes",
    spoilt(lambda t: t["entries"]["a"].update(size=[[1, 2, 3], 1])): "entry 'a'",
    spoilt(lambda t: t["entries"]["a"].update(size=["nan", 1])): "not a number",
    spoilt(lambda t: t["entries"]["a"].update(size=[True, 1])): "not a number",
    spoilt(lambda t: t["entries"]["a"].update(stride=[{}, 1])): "not a number",
    spoilt(lambda t: t["entries"]["a"].update(start=[[], 1])): "not a number",
    spoilt(lambda t: t["entries"]["a"].update(shape=[1 << 80])): "not a shape",
    spoilt(lambda t: t["entries"]["a"].update(macs=-1)): "no count",
    spoilt(lambda t: t["entries"]["a"].update(macs=1 << 4000)): "1024 bits",
    spoilt(lambda t: t["entries"]["a"].update(stride=[math.nan, 1])): "no number",
    spoilt(lambda t: t["entries"]["a"].update(stride=[math.inf, 1])): "no number",
    spoilt(lambda t: t["entries"].update(a=7)): "not an object",
    '{"schema": "fastrf/lock/1", "inputs": {"x": [1e999]}}': "not a shape",
}


@pytest.mark.parametrize(("text", "told"), HOSTILE.items(), ids=map(str, range(len(HOSTILE))))
def test_what_is_no_lock_file_is_told_in_one_line(text, told, tmp_path):
    path = tmp_path / "rf.lock.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=told) as error:
        Lock.read(path)
    assert str(error.value).isprintable()
    assert str(path) in str(error.value)


def entry(digest, module="", shape=(4, 4), **told):
    return Entry(shape, ((3, 3),), (1,), (0.5,), digest, module=module, **told)


def test_modules_are_matched_by_name_then_by_what_they_see():
    old = {
        "stem.conv": entry("1", "Conv2d"),
        "stem.bn": entry("1", "BatchNorm2d"),
        "head": entry("2"),
        "gone": entry("3"),
    }
    new = {
        "base.conv": entry("1", "Conv2d"),
        "base.bn": entry("1", "BatchNorm2d"),
        "head": entry("9"),
        "new": entry("4"),
    }
    found = matched(old, new)
    assert found.pairs == (("stem.conv", "base.conv"), ("stem.bn", "base.bn"), ("head", "head"))
    assert found.renamed == found.pairs[:2]
    assert (found.added, found.removed) == (("new",), ("gone",))


def test_of_several_that_see_the_same_the_likest_is_taken():
    old = {"x.relu": entry("1", "ReLU"), "x.conv": entry("1", "Conv2d"), "x.last": entry("1", "Conv2d")}
    new = {"y.last": entry("1", "Conv2d"), "y.first": entry("1", "Conv2d"), "y.act": entry("1", "GELU")}
    assert matched(old, new).pairs == (("x.last", "y.last"), ("x.conv", "y.first"), ("x.relu", "y.act"))
    assert matched({"a": entry("1", shape=(4, 5))}, {"b": entry("1")}).added == ("b",)
    assert matched({"a": entry(None)}, {"b": entry(None)}).removed == ("a",)
    assert matched({"a": entry(None)}, {"a": entry(None)}).pairs == (("a", "a"),)


def test_equal_entries_are_equal():
    assert entry("1") == replace(entry("1"))
    assert lock().entries == lock().entries


def blocks(torch):
    """Modules within modules, one called twice, one that returns several tensors, functions between them."""
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.act = nn.Conv1d(4, 4, 3, padding=1), nn.ReLU()

        def forward(self, x):
            return self.act(self.conv(self.act(x))) + x

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.block = nn.Conv1d(2, 4, 3, stride=2), Block()
            self.rnn = nn.GRU(4, 5, batch_first=True)

        def forward(self, x):
            x = torch.nn.functional.pad(self.block(self.stem(x)), (1, 0))
            return self.rnn(x.mT)[0]

    return Model()


def test_modules_have_entries_and_what_runs_between_them():
    torch = pytest.importorskip("torch")
    model = blocks(torch)
    analysis = fastrf.analyze(model, (2, 21))
    found = Lock.of(analysis)
    assert list(found.entries)[:5] == ["stem", "block.act@0", "block.conv", "block.act@1", "block"]
    assert [name for name, entry in found.entries.items() if entry.module] == [
        "stem",
        "block.act@0",
        "block.conv",
        "block.act@1",
        "block",
        "rnn[0]",
        "rnn[1]",
    ]
    assert all(analysis[name].digest() == entry.digest for name, entry in found.entries.items())
    parameters = sum(entry.parameters for entry in found.entries.values())
    assert parameters == sum(p.numel() for p in model.parameters())
    assert found.entries["rnn[0]"].module == "GRU"
