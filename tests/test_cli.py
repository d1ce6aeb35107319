"""The command line: what it prints, what it writes, and how it fails."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastrf
from fastrf.cli import commands as cli
from fastrf.cli import drawing
from fastrf.system import terminal


@pytest.fixture
def run(capsys):
    """Run the command and give (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            cli.main(list(arguments))
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_summary_of_alexnet_prints_the_classic_table(run):
    code, out, _ = run("summary", "alexnet", "--input", "3x227x227")
    lines = [line.split() for line in out.splitlines()]
    table = {line[0]: line for line in lines[1:] if len(line) == 10 + 1 and line[1] != "input"}
    expected = zip((55, 27, 27, 13, 13, 13, 13, 6, 1, 1), (11, 19, 51, 67, 99, 131, 163, 195, 355, 355), strict=True)
    assert code == 0
    assert len(table) == 10
    for line, (n, r) in zip(table.values(), expected, strict=True):
        assert line[2].endswith(f"x{n}x{n}")
        assert line[5] == str(r)
    assert table["fc7-conv"][6:9] == ["32", "64", "113.5"]


def test_summary_formats(run, tmp_path):
    _, out, _ = run("summary", "resnet50", "--json")
    found = json.loads(out)
    rows = found["layers"]
    assert (found["schema"], found["fastrf"], found["model"]) == ("fastrf.summary/1", fastrf.__version__, "resnet50")
    assert (found["inputs"]["input"]["shape"], found["wrt"], found["units"]) == ([3, 224, 224], "input", "pixels")
    assert len(rows) == 175
    assert {row["name"]: row["size"] for row in rows}["layer4.2.relu3"] == [427, 427]
    assert rows[-1]["size"] == [None, None]
    _, out, _ = run("summary", "resnet50", "--csv", "--depth", "1")
    table = {row["name"]: row for row in csv.DictReader(io.StringIO(out))}
    assert (table["layer4"]["op"], table["layer4"]["size"]) == ("32 layers", "427x427")
    _, out, _ = run("summary", "unet", "--markdown", "--input", "3x64x64")
    assert "| head | conv | 2x64x64 |" in out
    assert "188..204" in out
    for name in ("table.json", "table.csv", "table.md", "table.txt"):
        code, out, err = run("summary", "alexnet", "-o", str(tmp_path / name))
        assert (code, out) == (0, "")
        assert name in err
        assert "conv5" in (tmp_path / name).read_text()


def test_summary_on_a_terminal_draws_a_table(run, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")
    code, out, _ = run("summary", "alexnet")
    assert code == 0
    assert "fc7-conv" in out


def test_mask_as_text(run):
    code, out, _ = run("mask", "unet", "--input", "3x64x64", "--node", "dec4", "--at", "0,0")
    assert code == 0
    assert out.startswith("dec4.relu2 at 0,0 sees")
    _, out, _ = run("mask", "alexnet", "--node", "conv1", "--at", "0,0")
    picture = out.splitlines()[2:]
    assert picture == ["#" * 11 + "."] * 11 + ["." * 12]
    _, out, _ = run("mask", "alexnet", "--node", "conv1", "--neuron", "5,1,1", "--json")
    facts = json.loads(out)
    assert (facts["area"], facts["box"], facts["at"]) == (121, [[4, 15], [4, 15]], [5, 1, 1])
    assert facts["flat_runs"][0] == [4 * 227 + 4, 4 * 227 + 15]
    _, out, _ = run("mask", "resnet18")
    assert "one character for 4x4 pixels" in out
    _, out, _ = run("mask", "wavenet", "--input", "1x4000", "--node", "stack1.layer2", "--at", "9")
    assert ".####." in out
    _, out, _ = run("mask", "unet3d", "--input", "1x16x16x16", "--node", "enc1.conv1", "--at", "5,5,5")
    assert [line.split(":")[0] for line in out.splitlines() if "plane" in line] == ["plane 4", "plane 5", "plane 6"]


def test_mask_over_approximated_says_so(run, tmp_path):
    path = tmp_path / "net.json"
    layers = [{"name": "top", "op": "topk", "axis": 1, "k": 2}]
    path.write_text(json.dumps({"input_shape": [1, 4, 4], "layers": layers}))
    _, out, _ = run("mask", str(path), "--at", "0,0")
    assert "(over-approximated at top)" in out


def test_mask_files(run, tmp_path):
    expected = fastrf.analyze("resnet18", (3, 64, 64))["layer3"].mask((1, 1))
    for name in ("m.npy", "m.npz", "m.png", "m.txt", "m.json"):
        path = tmp_path / name
        code, _, err = run("mask", "resnet18", "--input", "3x64x64", "-n", "layer3", "--at", "1,1", "-o", str(path))
        assert code == 0, err
        assert "of 4096 pixels" in err
    assert (np.load(tmp_path / "m.npy") == expected).all()
    assert (np.load(tmp_path / "m.npz")["mask"] == expected).all()
    runs = json.loads((tmp_path / "m.json").read_text())["flat_runs"]
    assert sum(stop - start for start, stop in runs) == expected.sum()
    assert all(expected.ravel()[start:stop].all() for start, stop in runs)
    rows = (tmp_path / "m.txt").read_text().splitlines()
    assert [[c == "#" for c in row] for row in rows] == expected.tolist()
    assert (tmp_path / "m.png").read_bytes().startswith(b"\x89PNG")
    code, _, err = run("mask", "resnet18", "-o", str(tmp_path / "m.gif"))
    assert (code, "ending '.gif' is unknown" in err) == (2, True)
    code, _, err = run("mask", "unet3d", "-o", str(tmp_path / "v.png"))
    assert (code, "no picture" in err) == (2, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.json", "m.npy", "m.npz", "m.png", "m.txt"]


def test_boxes(run, tmp_path):
    _, out, _ = run("boxes", "alexnet", "--node", "pool5", "--json")
    rows = json.loads(out)["positions"]
    assert len(rows) == 36
    edges = {"y_start": 0, "y_stop": 131, "x_start": 0, "x_stop": 131}
    assert rows[0] == {"y": 0, "x": 0, **edges, "area": 131 * 131, "density": 1.0}
    _, out, _ = run("boxes", "alexnet", "--node", "conv1", "--at", "3,3")
    assert out.splitlines()[2].split() == ["3", "3", "12", "23", "12", "23", "121", "1.0"]
    _, out, _ = run("boxes", "alexnet", "--node", "fc6-conv", "--csv")
    assert out.splitlines()[0] == "y,x,y_start,y_stop,x_start,x_stop,area,density"
    field = fastrf.analyze("alexnet")["pool5"]
    run("boxes", "alexnet", "--node", "pool5", "-o", str(tmp_path / "b.npy"))
    run("boxes", "alexnet", "--node", "pool5", "-o", str(tmp_path / "b.npz"))
    assert (np.load(tmp_path / "b.npy") == field.boxes()).all()
    assert (np.load(tmp_path / "b.npz")["areas"] == field.areas()).all()


def test_zoo_and_version(run):
    _, out, _ = run("zoo")
    assert out.splitlines()[2].split() == ["alexnet", "3x227x227", "10"]
    _, out, _ = run("zoo", "--json")
    assert {row["name"] for row in json.loads(out)["networks"]} == set(fastrf.zoo.names())
    assert run("--version")[1].strip() == f"fastrf {fastrf.__version__}"


def test_warmup_compiles_everything(run):
    code, _, err = run("warmup")
    assert code == 0
    assert [line.split()[0] for line in err.splitlines() if line.endswith(" s")] == [
        "numba",
        "engine",
        "queries",
        "masks",
        "anchors",
    ]


@pytest.mark.parametrize("command", ["summary", "mask", "boxes", "zoo", "warmup"])
def test_help_teaches(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage" in out
    assert "bool" not in out  # switches take no value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["summary", "resnet5"], "did you mean resnet50"),
        (["summary", "alexnet", "--input", "axb"], "write sizes like 3x224x224"),
        (["summary", "alexnet", "--input", "3x227x-1"], "write sizes like 3x224x224"),
        (["summary", "alexnet", "-i", "3x227x227", "-i", "3x4"], "has no name; with several inputs"),
        (["summary", "alexnet", "--input", "3x2x2"], "enlarge input_shape or the padding"),
        (["summary", "alexnet", "--json", "--csv"], "exclude each other"),
        (["summary", "alexnet", "--jso"], "No such option"),
        (["sumary", "alexnet"], "No such command"),
        (["summary"], "Missing argument"),
        (["summary", "alexnet", "--json", "-o", "x.csv"], "x.csv is no .json; leave --json out"),
        (["mask", "alexnet", "--json", "-o", "x.npy"], "x.npy is no .json; leave --json out"),
        (["mask", "alexnet", "--image", "x.png"], "write one with -o mask.png"),
        (["summary", "alexnet", "--columns", "layer,size"], "there is no column 'size'; choose from layer, operator"),
        (["summary", "alexnet", "--columns", "layer", "--csv"], "csv has every value"),
        (["mask", "alexnet", "--at", "0,0", "--neuron", "0,0,0"], "exclude each other"),
        (["boxes", "alexnet", "--at", "0,0", "-o", "x.npy"], "writes all of them"),
        (["summary", "alexnet", "-o", "x.pdf"], "ending '.pdf' is unknown here"),
        (["summary", "alexnet", "-o", "/nowhere/x.csv"], "in a folder that can be written"),
        (["summary", "alexnet", "--wrt", "conv9"], "did you mean conv"),
        (["mask", "alexnet", "--node", "pool9"], "did you mean pool"),
        (["mask", "alexnet", "--at", "1,1"], "outside the map of (1, 1)"),
        (["mask", "alexnet", "--at", "x"], "write numbers like 3,4, from 0"),
        (["mask", "alexnet", "--at", "99999999999999999999999"], "write numbers like 3,4, from 0"),
        (["mask", "alexnet", "--neuron", "0,0"], "neuron (0, 0) has 2 indices"),
        (["boxes", "alexnet", "--at", "5,5"], "outside the map"),
        (["summary", "evil\nname\x1b[31m"], "is neither a file nor a built-in network"),
    ],
)
def test_errors_are_one_line_and_exit_code_two(run, arguments, message):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("fastrf: ")
    assert err.count("\n") == 1
    assert err.rstrip("\n").isprintable()


def test_debug_shows_the_traceback():
    with pytest.raises(fastrf.FormatError):
        cli.main(["--debug", "summary", "nope"])


def test_running_out_of_memory_is_one_line(run, monkeypatch):
    def fail(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("fastrf.analysis.analyze", fail)
    assert run("summary", "alexnet")[0] == 2
    with pytest.raises(MemoryError):
        cli.main(["--debug", "summary", "alexnet"])


def test_a_closed_pipe_is_no_error(run, monkeypatch):
    def fail(*arguments, **options):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("fastrf.analysis.analyze", fail)
    assert run("summary", "alexnet")[0] == 0


@pytest.mark.parametrize("arguments", ["summary alexnet --json", "zoo", "mask alexnet", "--help"])
def test_an_output_that_cannot_be_written_is_one_line(arguments):
    code = "from fastrf.cli.commands import main; main()"
    command = [sys.executable, "-c", code, *arguments.split()]
    with open("/dev/full", "w") as full:
        found = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (found.returncode, found.stderr) == (2, "fastrf: the output cannot be written: No space left on device\n")
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (found.returncode, found.stderr) == (0, "")


def test_usage_errors_exit_with_two(run):
    assert run("summary")[0] == 2
    assert run("sumary", "alexnet")[0] == 2


def test_several_inputs_on_the_command_line(run, tmp_path):
    path = tmp_path / "two.json"
    layers = [{"name": "both", "op": "concat", "axis": 0, "inputs": ["a", "b"]}]
    path.write_text(json.dumps({"input_shape": {"a": [1, 4, 4], "b": [1, 4, 4]}, "layers": layers}))
    code, out, _ = run("summary", str(path), "-i", "a=1x6x6", "-i", "b=2x6x6")
    assert code == 0
    assert "3x6x6" in out


def test_as_a_module():
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-m", "fastrf", "boxes", "alexnet", "--node", "conv1", "--at", "0,0"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stdout.split()[-8:] == ["0", "0", "0", "11", "0", "11", "121", "1.0"]


def test_the_module_runs():
    done = subprocess.run([sys.executable, "-m", "fastrf", "--version"], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("fastrf ")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_picture_fits_the_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    field = fastrf.analyze("resnet18", (3, 224, 224))["layer3"]
    monkeypatch.setattr(sys, "stdout", Terminal())
    lines = drawing.describe(field, (7, 7), field.mask((7, 7))).splitlines()
    assert max(map(len, lines)) <= 40
    assert sum(line.startswith(("#", ".", "+")) for line in lines) > 10


def test_a_status_is_gone_when_it_is_over(monkeypatch):
    monkeypatch.setenv("COLUMNS", "30")
    for stream, shown in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        with terminal.status("reading some.module:which_has_a_long_name ..."):
            assert stream.getvalue() == ("reading some.module:which_has\r" if shown else "")
        assert stream.getvalue().endswith(f"{' ' * 29}\r") == shown


# Files that are there, and how much is said -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("summary alexnet", "a.json"),
        ("mask alexnet --node conv3", "a.npy"),
        ("masks alexnet --node conv3", "a.npy"),
        ("boxes alexnet --node conv3", "a.csv"),
        ("boxes alexnet --node conv3", "a.npz"),
        ("anchors yolov5s --levels P3,P4,P5 --anchors yolov5", "a.md"),
        ("sweep alexnet vgg16 -i 3x227x227", "a.csv"),
    ],
)
def test_a_file_is_replaced_only_where_it_is_said(run, tmp_path, command, name):
    if command.startswith("sweep"):
        pytest.importorskip("pyarrow")
    path = tmp_path / name
    path.write_bytes(b"mine")
    code, _, err = run(*command.split(), "-o", str(path))
    assert (code, path.read_bytes()) == (2, b"mine")
    assert "overwrite" in err
    code, _, err = run(*command.split(), "-o", str(path), "--overwrite")
    assert code == 0, err
    assert path.read_bytes() != b"mine"
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_json_is_asked_for_by_a_switch_an_ending_or_both(run, tmp_path):
    code, out, _ = run("summary", "alexnet", "--json")
    assert code == 0
    for k, given in enumerate((["-o", "a.json"], ["--json", "-o", "b.json"])):
        path = tmp_path / given[-1]
        assert run("summary", "alexnet", *given[:-1], str(path))[0] == 0, k
        assert json.loads(path.read_text()) == json.loads(out)


def test_quiet_and_verbose(run, tmp_path):
    _, _, err = run("summary", "alexnet", "-q", "-o", str(tmp_path / "a.csv"))
    assert err == ""
    code, _, err = run("-q", "summary", "alexnt")
    assert (code, "did you mean alexnet" in err) == (2, True)
    code, out, _ = run("summary", "alexnet", "--verbose", "--columns", "layer, receptive field")
    assert code == 0
    assert [line.split() for line in out.splitlines()[2:6]] == [
        ["layer", "receptive", "field"],
        ["\u2500" * (len(out.splitlines()[3]) - 1)],
        ["input", "1"],
        ["conv1", "11"],
    ]


@pytest.mark.parametrize("words", ["zoo", "mask alexnet", "boxes alexnet --at 0,0", "why alexnet", "summary alexnet"])
def test_every_command_says_when_it_was_done(run, words, caplog):
    caplog.set_level("DEBUG", "fastrf")
    assert run(*words.split(), "-v")[0] == 0
    assert caplog.messages[-1] == f"done: {words}"
    assert any(message.startswith("read alexnet: ") for message in caplog.messages) == (words != "zoo")


def test_every_key_of_json_is_documented(run):
    page = (Path(__file__).parent.parent / "docs" / "json.md").read_text()
    listed = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    found = json.loads(run("summary", "alexnet", "--json")[1])
    mask = json.loads(run("mask", "alexnet", "--json")[1])
    boxes = json.loads(run("boxes", "alexnet", "--node", "conv5", "--json")[1])
    zoo = json.loads(run("zoo", "--json")[1])
    levels = ("yolov5s", "--input", "3x64x64", "--levels", "p3,p4", "--suggest", "s3fd")
    suggestion = json.loads(run("anchors", *levels, "--json")[1])["suggestion"]
    diff = json.loads(run("diff", "resnet18", "resnet34", "--input", "3x64x64", "--json")[1])
    inner = [found["inputs"]["input"], found["layers"][0], boxes["positions"][0], suggestion]
    changed = next(change for change in diff["changes"] if change["pixels"])
    sizes = json.loads(run("sizes", "s3fd", "--for", "20", "--fits", "80", "--json")[1])
    inner += [diff, changed, changed["old"], changed["pixels"], sizes, sizes["axes"][0]]
    check = json.loads(run("check", "alexnet", "--rule", "conv5.exact == true", "--json")[1])
    context = json.loads(run("context", "tcn", "--input", "1x64", "--json")[1])
    leaks = json.loads(run("context", "unet", "--input", "1x32x32", "--leaks", "--json")[1])
    inner += [context, context["outputs"][0], leaks, leaks["leaks"][0]]
    for words, rows in (("--json", "tiles"), ("--words", "words"), ("--costs", "costs"), ("--stream", "streams")):
        tiling = json.loads(run("tiling", "unet", "--input", "1x64x64", words, "--json")[1])
        inner += [tiling, tiling[rows][0]]
    why = json.loads(run("why", "alexnet", "--json")[1])
    inner += [check, check["outcomes"][0], why, why["reasons"][0]]
    assert listed == {"rows", "report"}.union(found, mask, boxes, zoo, *inner)
    assert found["schema"] in page
