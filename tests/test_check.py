"""check(): what a lock file says of a network that changed, and the command with its forms for CI."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

import fastrf
from fastrf import FormatError, Lock, UsageError
from fastrf.checks.outcomes import Outcome
from fastrf.cli.commands import main

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


# Forms ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def result():
    """What failed and what passed, with names that no form may take for its own signs."""
    outcomes = (
        Outcome("a.size >= 3", "a", (3, 3), True),
        Outcome(
            "'b<&>\"%,:'.size < 3",
            'b<&>"%,:\x1b\n::error::x',
            float("inf"),
            False,
            "so\r\nit",
            "why",
            file="r,%.toml",
            line=7,
        ),
        *(
            Outcome("as in l.json", f"c{k}", "size 1 -> 2", False, kind="cause", file="l.json", line=k + 1)
            for k in range(12)
        ),
        Outcome("as in l.json", "d", "size 1 -> 2", False, kind="inherited", file="l.json"),
    )
    return fastrf.CheckResult("net", {"input": (2, 12, 9)}, "input", outcomes, ("a note",))


def test_junit_is_xml_with_a_case_for_each_check(result):
    root = ET.fromstring(result.to("junit"))
    (suite,) = root
    assert (root.tag, suite.tag, suite.get("tests"), suite.get("failures")) == ("testsuites", "testsuite", "3", "2")
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == list(result.checks)
    assert [case.find("failure") is None for case in cases] == [True, False, False]
    assert cases[2].find("failure").text.count("\n") == 12
    assert cases[1].get("line") == "7"
    assert "inf" in cases[1].find("failure").get("message")


def test_sarif_has_what_2_1_0_requires(result):
    document = json.loads(result.to("sarif"))
    assert document["version"] == "2.1.0"
    assert "sarif-2.1.0" in document["$schema"]
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert driver["name"] == "fastrf"
    assert [rule["id"] for rule in driver["rules"]] == list(result.checks)
    assert len(run["results"]) == len(result.failures)
    for one, failure in zip(run["results"], result.failures, strict=True):
        assert one["ruleId"] == driver["rules"][one["ruleIndex"]]["id"] == failure.rule
        assert one["message"]["text"].isprintable()
        assert one["level"] == "error"
        (location,) = one["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"]
    first = run["results"][0]["locations"][0]["physicalLocation"]
    assert first == {"artifactLocation": {"uri": "r%2C%25.toml"}, "region": {"startLine": 7}}
    assert "region" not in run["results"][-1]["locations"][0]["physicalLocation"]


def test_annotations_are_one_command_a_line(result):
    lines = result.to("github").splitlines()
    assert all(line.startswith(("::error ", "::notice ")) for line in lines)
    assert len([line for line in lines if line.startswith("::error ")]) <= 10  # GitHub shows no more of a step
    head, _, message = lines[0][2:].partition("::")
    assert head == "error file=r%2C%25.toml,line=7,title='b<&>\"%25%2C%3A'.size < 3"
    assert "%25,:" in message
    assert message.isprintable()
    assert "c11" in lines[-2]
    assert "d" in lines[-2]
    assert "FAILED: 2 of 3 checks" in lines[-1]


def test_json_says_what_was_seen(result):
    document = json.loads(result.to("json"))
    assert (document["schema"], document["passed"], document["notes"]) == ("fastrf.check/1", False, ["a note"])
    assert [one["value"] for one in document["outcomes"]][:3] == [[3, 3], "inf", "size 1 -> 2"]


def test_long_rules_are_shortened_for_a_narrow_terminal():
    rule = "layer4.1.conv2.halo_before <= layer4.0.conv1.halo_before * 3"
    result = fastrf.CheckResult("net", {}, "input", (Outcome(rule, "layer4.1.conv2", (3, 3), True),))
    assert max(map(len, result.to_text(80).splitlines())) <= 80
    assert rule in str(result)


def test_tables_fit_and_show_no_control_characters(result):
    for text in (result.to_text(60), str(result), result.to_markdown(), result._repr_html_()):
        assert "\x1b" not in text
        assert "FAILED: 2 of 3 checks" in text


# The command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "net.json").write_text(json.dumps({"input_shape": [2, 12, 9], "layers": LAYERS}))
    return tmp_path


def run(capsys, *words):
    """The exit code of `fastrf check`, and what it says."""
    with pytest.raises(SystemExit) as stop:
        main(["check", *words])
    return stop.value.code, *capsys.readouterr()


def change(here, **changes):
    layers = [layer | changes.get(layer["name"], {}) for layer in LAYERS]
    (here / "net.json").write_text(json.dumps({"input_shape": [2, 12, 9], "layers": layers}))


def test_exit_codes_tell_failures_from_mistakes(here, capsys):
    assert run(capsys, "net.json", "--rule", "a.size == 3")[0] == 0
    code, out, err = run(capsys, "net.json", "--rule", "a.size == 3", "-r", "b.size == 3")
    assert (code, err) == (1, "")
    assert out.splitlines()[-1] == "FAILED: 1 of 2 checks"
    for words in (
        ["--rule", "a.sise == 3"],
        [],
        ["--update"],
        ["--against", "rf.lock.json"],
        ["--rule", "a.size == 3", "--format", "jnit"],
        ["--rule", "a.size == 3", "--format", "junit", "--json"],
        ["--rule", "a.size == 3", "--format", "junit", "-o", "x.json"],
        ["--rule", "a.size == 3", "-o", "x.csv"],
        ["--rules", "none.toml"],
        ["--against", "net.json", "--update"],
    ):
        code, out, err = run(capsys, "net.json", *words)
        assert (code, out, err.count("\n")) == (2, "", 1), words
    assert json.loads((here / "net.json").read_text())["layers"] == LAYERS
    assert len(list(here.iterdir())) == 1


def test_a_regression_from_start_to_end(here, capsys):
    code, _, err = run(capsys, "net.json", "--against", "rf.lock.json", "--update")
    assert (code, err) == (0, "wrote rf.lock.json: 4 modules\n")
    first = (here / "rf.lock.json").read_bytes()
    assert run(capsys, "net.json", "--against", "rf.lock.json")[0] == 0
    change(here, a={"dilation": 2, "padding": 2})
    code, out, _ = run(capsys, "net.json", "--against", "rf.lock.json")
    assert code == 1
    assert "size 3 -> 5" in out
    assert (here / "rf.lock.json").read_bytes() == first
    code, out, err = run(capsys, "net.json", "--against", "rf.lock.json", "--update", "--json")
    assert (code, json.loads(out)["passed"]) == (0, True)
    assert (here / "rf.lock.json").read_bytes() != first
    _, _, err = run(capsys, "net.json", "--against", "rf.lock.json", "--update")
    assert err == "unchanged rf.lock.json: 4 modules\n"


def test_a_mistake_in_a_rule_writes_no_lock(here, capsys):
    assert run(capsys, "net.json", "-r", "a.size[3] == 1", "--against", "rf.lock.json", "--update")[0] == 2
    assert not (here / "rf.lock.json").exists()


def test_spoilt_lock_files_are_told_and_can_be_replaced(here, capsys):
    LOCK.save(here / "rf.lock.json")
    text = (here / "rf.lock.json").read_text()
    (here / "rf.lock.json").write_text(text[:-30])
    code, _, err = run(capsys, "net.json", "--against", "rf.lock.json")
    assert (code, err.count("\n")) == (2, 1)
    assert run(capsys, "net.json", "--against", "rf.lock.json", "--update")[0] == 0
    assert json.loads((here / "rf.lock.json").read_text())["entries"]


def test_github_gets_annotations_and_a_summary(here, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here / "summary.md"))
    (here / "summary.md").write_text("before\n")
    code, out, _ = run(capsys, "net.json", "-r", "a.size == 4", "--format", "github", "-o", "checks.sarif")
    assert code == 1
    assert out.startswith("::error file=net.json,title=a.size == 4::a: 3, not a.size == 4\n")
    summary = (here / "summary.md").read_text()
    assert summary.startswith("before\n### fastrf check\n\n| node | result |")
    assert json.loads((here / "checks.sarif").read_text())["version"] == "2.1.0"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(here))
    assert run(capsys, "net.json", "-r", "a.size == 4", "--format", "github")[0] == 2


def test_files_have_the_form_of_their_ending(here, capsys):
    for ending, begins in {"json": "{", "xml": "<?xml", "sarif": "{", "md": "| node", "txt": "net"}.items():
        code, out, err = run(capsys, "net.json", "-r", "a.size == 3", "-o", f"x.{ending}")
        assert (code, out) == (0, "")
        assert "passed: 1 check" in err
        assert (here / f"x.{ending}").read_text().startswith(begins) or ending == "txt"
    assert run(capsys, "net.json", "-r", "a.size == 3", "-o", "x.xml")[0] == 2
    assert run(capsys, "net.json", "-r", "a.size == 3", "-o", "x.xml", "--overwrite")[0] == 0


def test_a_lock_knows_for_which_input_it_was_asked(here, capsys):
    (here / "net.json").write_text(json.dumps({"layers": LAYERS}))
    words = "net.json", "--against", "rf.lock.json"
    assert run(capsys, *words, "--input", "2x10x10", "--update")[0] == 0
    assert run(capsys, *words)[0] == 0
    code, out, _ = run(capsys, *words, "--input", "2x12x10")
    assert code == 1
    assert "2x10x10 -> 2x12x10" in out


def test_nothing_else_is_a_lock():
    with pytest.raises(UsageError, match="nothing to check"):
        fastrf.check(network())
