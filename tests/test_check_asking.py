"""Lock files and the models beside them: what is never overwritten, which input is asked, and what is not looked at."""

from __future__ import annotations

import json
import os

import pytest

import fastrf
from fastrf import Lock, UsageError
from fastrf.checks.asking import require_lock
from fastrf.checks.outcomes import Outcome
from fastrf.cli.commands import main
from fastrf.system.tables import wrapped
from fastrf.testing import assert_receptive_field as asserted

LAYERS = [{"name": "a", "op": "conv", "out_channels": 4, "kernel_size": 3, "padding": 1}]


def two(names=("left", "right"), kernel=3):
    """A network of two branches, of which the second has a kernel of some size."""
    layers = [
        {"name": f"on_{k}", "op": "conv", "out_channels": 2, "kernel_size": n, "padding": n // 2, "inputs": [name]}
        for k, (name, n) in enumerate(zip(names, (3, kernel), strict=True))
    ]
    layers.append({"name": "sum", "op": "add", "inputs": ["on_0", "on_1"]})
    return {"input_shape": {name: [1, 8, 8] for name in names}, "layers": layers}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    (tmp_path / "net.json").write_text(json.dumps({"input_shape": [2, 12, 9], "layers": LAYERS}))
    (tmp_path / "two.json").write_text(json.dumps(two()))
    return tmp_path


def run(capsys, *words):
    """The exit code of a command, and what it says."""
    with pytest.raises(SystemExit) as stop:
        main([*words])
    return stop.value.code, *capsys.readouterr()


OTHERS = {
    "package.json": '{"name": "fastrf/lock/1 is in here"}',
    "nested.json": '{"a": {"schema": "fastrf/lock/1"}}',
    "text.json": 'see "schema": "fastrf/lock/1"',
    "empty.json": "",
}


@pytest.mark.parametrize("name", OTHERS)
def test_only_lock_files_are_written_anew(name, here, capsys):
    (here / name).write_text(OTHERS[name])
    with pytest.raises(UsageError, match="no lock file"):
        asserted(LAYERS, (2, 12, 9), lock=here / name, update=True)
    code, _, err = run(capsys, "check", "net.json", "--against", name, "--update")
    assert (code, err.count("\n")) == (2, 1)
    assert (here / name).read_text() == OTHERS[name]


def test_what_is_left_of_a_lock_file_is_written_anew(here):
    text = Lock.of(fastrf.analyze(LAYERS, (2, 12, 9))).to_text()
    for spoilt in (text[:60], text.replace(' "wrt"', '<<<<<<< HEAD\n "wrt"'), text.replace("lock/1", "lock/9")):
        (here / "rf.lock.json").write_text(spoilt)
        asserted(LAYERS, (2, 12, 9), lock="rf.lock.json", update=True)
        assert (here / "rf.lock.json").read_text() == text


@pytest.mark.parametrize("update", [[], ["--update"]])
def test_what_is_no_file_is_no_lock_file(update, here, capsys):
    os.mkfifo(here / "pipe")
    for name in ("pipe", "", str(here)):
        code, _, err = run(capsys, "check", "net.json", "--against", name, *update)
        assert (code, err.count("\n"), "is no regular file" in err) == (2, 1, True), err
    with pytest.raises(UsageError, match="no regular file"):
        require_lock("pipe")


def test_what_is_read_is_not_written(here, capsys):
    (here / "rules.toml").write_text('rules = ["a.size == 3"]')
    run(capsys, "check", "net.json", "--against", "rf.lock.json", "--update")
    (here / "link.md").symlink_to("rules.toml")
    before = {path.name: path.read_bytes() for path in here.iterdir()}
    for words in (
        ("check", "net.json", "--against", "rf.lock.json", "-o", "rf.lock.json"),
        ("check", "net.json", "--rule", "a.size == 3", "-o", "net.json"),
        ("check", "net.json", "--rules", "rules.toml", "-o", "link.md"),
        ("diff", "rf.lock.json", "net.json", "-o", "./rf.lock.json"),
        ("diff", "rf.lock.json", "net.json", "-o", "net.json"),
    ):
        code, _, err = run(capsys, *words, "--overwrite")
        assert (code, err.count("\n"), "write to another file" in err) == (2, 1, True), err
    assert {path.name: path.read_bytes() for path in here.iterdir()} == before


def test_a_lock_says_against_which_input_it_was_measured(here, capsys):
    words = "check", "two.json", "--against", "right.lock.json"
    assert run(capsys, *words, "--wrt", "right", "--update")[0] == 0
    assert run(capsys, *words)[0] == 0
    assert run(capsys, "diff", "right.lock.json", "two.json", "--exit-code")[0] == 0
    assert not fastrf.diff("right.lock.json", "two.json")
    (here / "two.json").write_text(json.dumps(two(("x", "y"))))
    assert run(capsys, *words)[0] == 0  # by its place
    (here / "two.json").write_text(json.dumps(two(("x", "y"), 5)))
    assert run(capsys, *words)[0] == 1
    code, out, _ = run(capsys, *words, "--wrt", "x")
    assert code == 1
    assert "against 'right' -> x 1x8x8, y 1x8x8 against 'x'" in out


def test_inputs_that_a_model_has_not_are_told(here, capsys):
    lock = json.loads(Lock.of(fastrf.analyze(LAYERS, (2, 12, 9))).to_text())
    (here / "rf.lock.json").write_text(json.dumps(lock | {"inputs": {"input": [2, 12, 9], "more": [1, 2]}}))
    code, out, _ = run(capsys, "check", "net.json", "--against", "rf.lock.json")
    assert (code, "more 1x2 against 'input' -> 2x12x9" in out) == (1, True)
    assert fastrf.diff("rf.lock.json", "net.json").notes[0].startswith("inputs: ")
    (here / "rf.lock.json").write_text(json.dumps(lock | {"wrt": "nope"}))
    code, _, err = run(capsys, "check", "net.json", "--against", "rf.lock.json")
    assert (code, err.count("\n"), "rf.lock.json was measured against 'nope'" in err) == (2, 1, True)


def test_other_inputs_are_not_looked_at_which_is_said():
    old = fastrf.analyze(two())
    result = fastrf.check(fastrf.analyze(two(kernel=5)), against=Lock.of(old))
    told = "not looked at: what is seen of input 'right'; lock it apart with --wrt right"
    assert result
    assert told in result.notes
    assert told in fastrf.diff(old, fastrf.analyze(two(kernel=5))).notes
    assert "not looked at" not in str(fastrf.check(fastrf.analyze(LAYERS, (2, 12, 9)), "a.size == 3"))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t[:200], "--update"),
        (lambda t: t.replace(' "wrt"', '<<<<<<< HEAD\n "wrt"'), "merge conflict"),
        (lambda t: t.replace('"size": [3, 3]', '"size": [-3, 3]'), "'a': '-3' is no size"),
        (lambda t: t.replace('"reads": ["input"]', '"reads": ["a"]'), "'a': reads itself"),
        (lambda t: t.replace('"reads": ["input"]', '"reads": ["no"]'), "'a': reads 'no', which is no entry"),
    ],
)
def test_spoilt_locks_are_told_with_a_remedy(change, told, here, capsys):
    (here / "rf.lock.json").write_text(change(Lock.of(fastrf.analyze(LAYERS, (2, 12, 9))).to_text()))
    for words in (("check", "net.json", "--against", "rf.lock.json"), ("diff", "rf.lock.json", "net.json")):
        code, _, err = run(capsys, *words)
        assert (code, err.count("\n"), told in err, "--update" in err) == (2, 1, True, True), err


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (".size >= 1", "no node stands before '.size'"),
        ("# comment", "has no comments"),
        ("a.size >= 1__0", "'1__0' is no value"),
        ("a.size >= 1_", "'1_' is no value"),
    ],
)
def test_mistakes_in_rules_are_named(rule, told):
    with pytest.raises(UsageError, match=told) as error:
        fastrf.check(fastrf.analyze(LAYERS, (2, 12, 9)), rule)
    assert ".size.size" not in str(error.value)


def test_of_another_file_it_is_not_said_that_update_replaces_it(here, capsys):
    code, _, err = run(capsys, "check", "net.json", "--against", "two.json")
    assert (code, "anew" in err, "give a file that" in err) == (2, False, True), err


def test_examples_say_how_many_pixels_are_others(capsys, here):
    def old(**more):
        return fastrf.analyze([LAYERS[0] | more], (2, 24, 24))

    note = fastrf.diff(old(), old(dilation=2, padding=2)).notes[0]
    assert note.startswith("a, position (12, 12) sees 9 pixels as before, of which 8 are others; gains 8")
    assert "as before" not in fastrf.diff(old(), old(kernel_size=5, padding=2)).notes[0]
    assert fastrf.diff(old(), old()).title.endswith("no changes in 1 module")
    assert run(capsys, "check", "net.json", "--against", "l.json", "--update")[2] == "wrote l.json: 1 module\n"
    for width in range(40, 120):  # indices stay on one line
        assert all(line.count("(") == line.count(")") for line in wrapped([note], width))


def outcomes(n, rule, kind="rule", name="n"):
    return tuple(Outcome(rule, f"{name}{k}", 1, False, kind=kind) for k in range(n))


def errors(failed):
    result = fastrf.CheckResult("net", {}, "input", tuple(failed))
    return [line for line in result.to("github").splitlines() if line.startswith("::error ")]


def test_every_check_has_an_annotation():
    failed = *outcomes(30, "*.size >= 9"), *outcomes(2, "as in l", "cause", "c"), *outcomes(3, "as in l", "inherited")
    lines = [line for line in errors(failed) if "as in l" in line]
    assert "::c0" in lines[0]
    assert "::4 more: c1, n0, n1, n2" in lines[-1]
    assert len(errors(failed)) == 10
    assert sum("more: " in line and "*.size" in line for line in errors(failed)) == 1
    many = [one for k in range(8) for one in outcomes(3, f"r{k}.size >= 1")]
    assert len(errors(many)) == 10
    assert sum(line.endswith("; 2 more: n1, n2") for line in errors(many)) == 7
    told = errors([one for k in range(20) for one in outcomes(2, f"r{k}.size >= 1")])
    assert len(told) == 10
    assert "11 more checks: r9.size >= 1, " in told[-1]


@pytest.mark.parametrize("width", [60, 80])
def test_names_stay_whole_in_a_narrow_terminal(width):
    rule = f"as in /{'very/' * 18}long.json"
    said = "sees other pixels at the same size: holes, borders or channels"
    one = Outcome(rule, "layer3.2.conv2", said, False, "changed itself", kind="cause")
    text = fastrf.CheckResult("net", {}, "input", (one, Outcome(rule, "b", "size 1 -> 2", False))).to_text(width)
    assert max(map(len, text.splitlines())) <= width
    assert "layer3.2.conv2" in text
    assert all(word in text for word in ("changed", "itself", "channels"))
    rules = [Outcome(f"layer3.2.conv2.size >= {'9' * 90}{k}", "layer3.2.conv2", (3, 3), False) for k in range(2)]
    text = fastrf.CheckResult("net", {}, "input", tuple(rules)).to_text(width)
    assert max(map(len, text.splitlines())) <= width
    assert "  layer3.2.conv2   FAIL     layer3" in text
