"""What people ask in the wrong form: one line that names the place and says what to write."""

from __future__ import annotations

import contextlib
import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

import fastrf
from fastrf.cli.commands import main
from fastrf.system import extras

CODE = "import gone_for_good\nraise SystemExit\n\n\nclass Net:\n    pass\n\n\ndef build(): ...\n\n\ndef _own(): ...\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with modules that must not run."""
    for name in ("mymodel.py", "nets/__init__.py", "nets/small.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CODE)
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "resnet50").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


ASKED = {
    "mymodel": "write mymodel:NAME, where NAME is Net or build",
    "mymodel.py": "write mymodel:NAME, where NAME is Net or build",
    "mymodel.py:Net": "write mymodel:Net",
    "nets": "write nets:NAME, where NAME is Net or build",
    "nets.small": "write nets.small:NAME, where NAME is Net or build",
    "nets/small.py": "write nets.small:NAME, where NAME is Net or build",
    "broken": "write broken:NAME",
    "gone.py": "No such file or directory; check the path",
    "scipy.signal.convolve": "write scipy.signal:convolve",
    "resnet51": "did you mean resnet50",
    "gone.onnx": "No such file or directory; check the path",
    "gone.pt2": "No such file or directory; check the path",
}


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.usefixtures("folder")
def test_a_model_in_the_wrong_form_gets_the_right_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["summary", name])
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert ASKED[name] in err


def test_a_file_elsewhere_is_told_from_its_folder(folder: Path) -> None:
    with pytest.raises(fastrf.FormatError, match="go to its folder and write mymodel:NAME"):
        fastrf.load(str(folder / "mymodel.py"))


@pytest.mark.usefixtures("folder")
def test_a_folder_hides_no_built_in_network() -> None:
    assert fastrf.load("resnet50").name == "resnet50"


@pytest.mark.parametrize("ending", ["onnx", "pt2"])
def test_a_missing_file_is_told_before_a_missing_package(ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, {"onnx": "onnx", "pt2": "torch"}[ending], None)
    with pytest.raises(fastrf.FormatError, match="No such file"):
        fastrf.load(f"gone.{ending}")


def test_where_fastrf_is_not_installed_extras_are_named_by_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[anchors\]'$"):
        extras.require("yaml", "anchors", "this")
    monkeypatch.setattr(metadata, "distribution", unknown)
    with pytest.raises(fastrf.MissingExtraError, match=r"this needs yaml; pip install PyYAML$"):
        extras.require("yaml", "anchors", "this")


@pytest.mark.parametrize("ask", ["mask", "box", "halo"])
def test_positions_of_a_classifier_name_the_last_map(ask: str) -> None:
    field = fastrf.analyze("resnet50").output
    with pytest.raises(fastrf.PositionError, match=r"the last map is 'layer4\.2\.relu3' of \(7, 7\)"):
        getattr(field, ask)(*[(3, 3)] * (ask != "halo"))


BEFORE_WORK = {
    ("sweep", "candidates.jsonl", "--by", "sizes", "-o", "rows.parquet"): "unknown column 'sizes'",
    ("sweep", "candidates.jsonl", "--resume"): "say which with -o",
    ("anchors", "yolov5s", "--levels", "p3", "--centers", "middle"): "centers 'middle' is unknown",
    ("anchors", "yolov5s", "--levels", "p3", "--layout", "3x3"): "--layout is for what --suggest finds",
    ("mask", "resnet18", "--image", "gone.jpg", "-o", "mask.png"): "gone.jpg: No such file or directory",
    ("summary", "layers.json"): "layers.json: its input shape is not known; give it with --input",
    ("summary", "other.json"): "other.json: a network needs 'layers'",
}


@pytest.mark.parametrize("words", BEFORE_WORK)
def test_what_does_not_fit_is_told_before_the_work(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if words[0] == "sweep":
        pytest.importorskip("pyarrow")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "layers.json").write_text('{"conv": [3, 1, 1]}')
    (tmp_path / "other.json").write_text('{"a": 1}')
    (tmp_path / "candidates.jsonl").write_text('{"input_shape": [1, 8, 8], "layers": [{"op": "relu"}]}\n')
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    assert stop.value.code == 2
    assert BEFORE_WORK[words] in capsys.readouterr().err
    assert not list(tmp_path.glob("rows*"))


@pytest.mark.parametrize("command", ["mask", "boxes", "summary"])
def test_json_says_of_what_it_is(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with contextlib.suppress(SystemExit):
        main([command, "alexnet", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert (told["model"], told["wrt"], told["units"]) == ("alexnet", "input", "pixels")
    assert told["inputs"]["input"] == {"shape": [3, 227, 227], "channel_axis": 0, "guessed": False}
