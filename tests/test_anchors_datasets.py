"""YOLO data sets by their `data.yaml`: where pictures and labels are found, and what cannot be read."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import pytest

import fastrf
from fastrf.anchors import read_boxes
from fastrf.anchors.boxes import datasets
from fastrf.cli import commands as cli


def png(width, height):
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Two pictures to train with, of which one has a label, and one to validate with."""
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "set"
    write(root / "images/train/deep/a.b.png", png(200, 100))
    write(root / "labels/train/deep/a.b.txt", "0 0.5 0.5 0.5 0.25\n")
    write(root / "images/train/background.PNG", png(10, 10))
    write(root / "images/val/v.png", png(40, 40))
    write(root / "labels/val/v.txt", "0 0.5 0.5 0.5 0.5\n1 0.5 0.5 0.25 0.5\n")
    write(root / "train.txt", "./images/train/deep/a.b.png\n\nimages/val/v.png\n")
    return root


TRAIN, BOTH = [[100, 25]], [[100, 25], [20, 20], [10, 20]]


@pytest.mark.parametrize(
    ("name", "text", "sizes"),
    [
        ("set/data.yaml", "train: images/train\nval: images/val\nnc: 2\nnames: [cat, dog]\n", TRAIN),
        ("set/data.yaml", "train: images/train\nnames:\n  0: cat\n  1: dog\ndownload: |\n  raise SystemExit\n", TRAIN),
        ("data.yaml", "path: set\ntrain: images/train\n", TRAIN),
        ("cfg/data.yml", "path: ../set  # data set root\ntrain: images/train/\n", TRAIN),
        ("cfg/data.yaml", "path: set\ntrain: images/train\n", TRAIN),  # from here
        ("set/data.yaml", "path: set\ntrain: images/train\n", TRAIN),  # from the folder above
        ("set/data.yaml", "path: .\ntrain: [images/train, images/val]\n", BOTH),
        ("set/data.yaml", "path:\ntrain:\n  - images/train\n  - images/val\n", BOTH),
        ("set/data.yaml", "train: train.txt\n", BOTH),
        ("set/data.yaml", "train: ../images/train\n", TRAIN),  # as Roboflow writes it
        ("cfg/data.yaml", "train: ../set/images/train\n", TRAIN),
        ("data.yaml", "path: {root}\ntrain: {root}/images/train\n", TRAIN),
    ],
)
def test_pictures_and_labels_are_found(root, name, text, sizes):
    found = read_boxes(str(write(root.parent / name, text.format(root=root))))
    assert found.sizes.tolist() == sizes
    assert found.source.endswith(name)


def test_a_folder_of_too_many_files_is_not_searched_for_ever(root, monkeypatch):
    monkeypatch.setattr(datasets, "MAX_FILES", 3)
    with pytest.raises(fastrf.FormatError, match="holds more than 3 files; name the folder"):
        read_boxes(write(root / "data.yaml", "train: ./\n"))


def test_labels_without_pictures(root):
    (root / "images/train/deep/a.b.png").unlink()
    (root / "images/train/background.PNG").unlink()
    yaml = write(root / "data.yaml", "train: images/train\n")
    with pytest.raises(fastrf.FormatError, match=r"a\.b\.txt: labels are shares of an image whose size is not known"):
        read_boxes(yaml)
    assert read_boxes(yaml, image_size=(10, 20)).sizes.tolist() == [[10, 2.5]]
    (root / "images/train/deep").rmdir()
    (root / "images/train").rmdir()
    assert read_boxes(yaml, image_size=(10, 20)).sizes.tolist() == [[10, 2.5]]


def test_labels_beside_pictures_and_roboflows_folders(tmp_path):
    write(tmp_path / "train/images/a.png", png(10, 20))
    write(tmp_path / "train/labels/a.txt", "0 0.5 0.5 0.5 0.5\n")
    write(tmp_path / "plain/a.png", png(30, 20))
    write(tmp_path / "plain/a.txt", "0 0.5 0.5 0.5 0.5\n")
    assert read_boxes(write(tmp_path / "a.yaml", "train: ../train/images\n")).sizes.tolist() == [[5, 10]]
    assert read_boxes(write(tmp_path / "b.yaml", "train: plain\n")).sizes.tolist() == [[15, 10]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no 'train:'"),
        ("[1, 2]", "has no 'train:'"),
        ("train:\n", "has no 'train:'"),
        ("train: {a: b}\n", "has no 'train:'"),
        ("train: [[a]]\n", "has no 'train:'"),
        ("train: nope\n", "'train: nope' is not there; looked for .*set/nope"),
        ("path: nope\ntrain: images/train\n", "'path: nope' is no folder, beside the file or from here"),
        ("path: [a]\ntrain: images/train\n", "'path:' must be a folder, not list"),
        ("train: empty\n", "holds no pictures, and .*empty no labels"),
        ("train: lost.txt\n", r"lost.txt:2: there is neither a picture nor a label of 'gone.png'"),
        ("train: a.json\n", "a.json is neither a folder of pictures nor a .txt"),
        ("train: bare\n", "none of 1 pictures has a label; the first would be .*bare/p.txt"),
        (f"train: {'x' * 5000}\n", "names a path that is none"),
        (f"path: {'x' * 5000}\ntrain: a\n", "names a path that is none"),
        ('train: "a\\0b"\n', "names a path that is none|is not there"),
        ("train: dots.txt\n", "names a path that is none"),
        ("a: &a x\ntrain: *a\n", "has a YAML alias"),
        ("train: !!python/object/apply:os.getcwd []\n", "has no 'train:'"),
        ("train: [", "not YAML"),
        ("#" * 70_000, "at most 65,536"),
    ],
)
def test_what_cannot_be_read(root, text, message):
    (root / "empty").mkdir()
    write(root / "bare/p.png", png(4, 4))
    write(root / "a.json", "[]")
    write(root / "dots.txt", ".\n")
    write(root / "lost.txt", "images/val/v.png\ngone.png\n")
    with pytest.raises(fastrf.FormatError, match=message) as caught:
        read_boxes(write(root / "data.yaml", text))
    assert "\n" not in str(caught.value)


def test_the_package_is_named_after_the_file_is_there(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(fastrf.FormatError, match="no such file"):
        read_boxes(root / "nope.yaml")
    with pytest.raises(fastrf.MissingExtraError, match=r"needs yaml; pip install 'fastrf\[anchors\]'"):
        read_boxes(write(root / "data.yaml", "train: images/train\n"))


def test_command(root, capsys):
    write(root / "data.yaml", "path: ../set\ntrain: [images/train, images/val]\n")
    with pytest.raises(SystemExit) as stop:
        cli.main(["anchors", "lffd_8", "--levels", "conv8_head", "--boxes", str(Path("set/data.yaml")), "-s", "s3fd"])
    out, err = capsys.readouterr()
    assert not stop.value.code, err
    assert "3 boxes of set/data.yaml (letterbox)" in out
