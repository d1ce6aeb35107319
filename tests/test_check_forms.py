"""check(): the forms of what it found, for people and CI, and the command."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest

import fastrf
from fastrf import UsageError
from fastrf.checks.outcomes import Outcome
from fastrf.cli.commands import main
from tests.test_check import LAYERS, LOCK, network

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
