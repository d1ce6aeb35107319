"""Masks chunk by chunk: Zarr, Dask and NumPy files equal `masks`; interruptions and mistakes."""

from __future__ import annotations

import json
import pickle
import sys

import numpy as np
import pytest

import fastrf
from fastrf import budget as limits
from fastrf.cli.commands import main
from fastrf.queries import streams

zarr = pytest.importorskip("zarr")
da = pytest.importorskip("dask.array")


@pytest.fixture(scope="module")
def field():
    """13 x 9 positions with holes; the second network's border sees nothing."""
    layers = [fastrf.conv(2, 3, dilation=2, padding=2), fastrf.max_pool(3, 2, padding=1)]
    return fastrf.analyze(layers, (3, 25, 18)).output


@pytest.fixture(scope="module")
def blind():
    """A field that sees nothing."""
    return fastrf.analyze([fastrf.layer("softmax", 0)], (1, 4, 5)).output


def stop_after(n):
    def progress(done, total):
        if done >= n:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("chunks", [None, 1, 10, 117, 1000])
def test_zarr_holds_every_mask(field, tmp_path, packed, chunks):
    calls = []
    path = tmp_path / "masks.zarr"
    array = field.to_zarr(path, packed=packed, chunks=chunks, progress=lambda *c: calls.append(c))
    again = zarr.open_array(store=str(path), mode="r")
    for found in (array, again):
        assert (found[:] == field.masks(packed=packed)).all()
        assert found.dtype == (np.uint8 if packed else bool)
        assert found.attrs["complete"]
    assert again.attrs["positions"] == [13, 9]
    assert again.attrs["pixels"] == [25, 18]
    total = -(-117 // min(chunks or 117, 117))
    assert calls == [(k, total) for k in range(total + 1)]


@pytest.mark.parametrize("chunks", [None, 1, 10, 117, 1000])
def test_dask_gives_every_mask(field, chunks):
    for packed in (False, True):
        lazy = field.to_dask(packed=packed, chunks=chunks)
        assert lazy.shape == field.masks(packed=packed).shape
        assert (lazy.compute() == field.masks(packed=packed)).all()
    assert (field.to_dask(chunks=7)[3:11, 5].compute() == field.masks()[3:11, 5]).all()
    assert lazy.chunks[0][0] == min(chunks or 117, 117)


def test_dask_gives_every_mask_on_a_cluster(field):
    distributed = pytest.importorskip("distributed")
    quiet = {"dashboard_address": ":0", "processes": False, "n_workers": 1, "threads_per_worker": 2}
    with distributed.LocalCluster(**quiet) as cluster, distributed.Client(cluster):
        assert (field.to_dask(chunks=20).compute() == field.masks()).all()


def test_fields_can_be_pickled(field):
    again = pickle.loads(pickle.dumps(field))
    assert again.dependency == field.dependency
    assert (again.size, again.stride, again.start) == (field.size, field.stride, field.start)
    assert (again.clipped() == field.clipped()).all()
    stream = streams.Stream.of(field.positional, False, 10)
    assert pickle.loads(pickle.dumps(stream)).fingerprint == stream.fingerprint


def test_an_interrupted_stream_is_valid_and_can_be_resumed(field, tmp_path):
    path = tmp_path / "masks.zarr"
    with pytest.raises(KeyboardInterrupt):
        field.to_zarr(path, chunks=10, progress=stop_after(4))
    part = zarr.open_array(store=str(path), mode="r")
    assert not part.attrs["complete"]
    written = sorted(int(p.name) for p in (path / "c").iterdir())
    assert 4 <= len(written) <= 12
    for k in written:
        assert (part[10 * k : 10 * k + 10] == field.masks()[10 * k : 10 * k + 10]).all()
    calls = []
    array = field.to_zarr(path, chunks=10, resume=True, progress=lambda *c: calls.append(c))
    assert calls[0] == (len(written), 12)
    assert len(calls) == 13 - len(written)
    assert array.attrs["complete"]
    assert (array[:] == field.masks()).all()
    assert (field.to_zarr(path, chunks=10, resume=True)[:] == field.masks()).all()


def test_resume_without_anything_begins(field, tmp_path):
    assert (field.to_zarr(tmp_path / "new.zarr", resume=True)[:] == field.masks()).all()


def test_chunks_without_a_pixel_are_written_too(blind, tmp_path):
    path = tmp_path / "blind.zarr"
    blind.to_zarr(path, chunks=3)
    assert len(list((path / "c").iterdir())) == 7
    assert not zarr.open_array(store=str(path))[:].any()


def test_maps_without_pixels_or_positions(tmp_path):
    spec = {"input_shape": [3], "channel_axis": 0, "layers": [{"op": "linear", "out_features": 4}]}
    field = fastrf.analyze(spec).output
    assert field.to_zarr(tmp_path / "a.zarr")[:].tolist() == [True]
    assert field.to_dask(packed=True).compute().tolist() == [[128]]


@pytest.mark.parametrize("chunks", [0, -1, 1.5, True, "auto", (10,)])
def test_chunks_that_are_no_number(field, tmp_path, chunks):
    with pytest.raises(fastrf.ShapeError, match="chunks must be a positive number of masks"):
        field.to_zarr(tmp_path / "m.zarr", chunks=chunks)
    with pytest.raises(fastrf.ShapeError):
        field.to_dask(chunks=chunks)
    assert list(tmp_path.iterdir()) == []


def test_limits_are_checked_before_anything_is_written(field, tmp_path, monkeypatch):
    large = fastrf.analyze("unet", (1, 4096, 4096)).output
    with pytest.raises(fastrf.LimitError, match="ask for larger chunks"):
        large.to_zarr(tmp_path / "m.zarr")
    with pytest.raises(fastrf.LimitError, match="smaller chunks or packed=True"):
        large.to_zarr(tmp_path / "m.zarr", chunks=1 << 20)
    monkeypatch.setattr(limits, "SMALL", 0)
    monkeypatch.setattr(limits, "free_memory", lambda: 1)
    with pytest.raises(fastrf.LimitError, match="GiB"):
        field.to_zarr(tmp_path / "m.zarr")
    with pytest.raises(fastrf.LimitError, match="GiB"):
        field.to_dask()
    assert list(tmp_path.iterdir()) == []


def test_paths_that_cannot_be_written(field, blind, tmp_path):
    path = tmp_path / "masks.zarr"
    field.to_zarr(path, chunks=10)
    with pytest.raises(fastrf.FormatError, match="exists; choose another name, or go on with resume"):
        field.to_zarr(path)
    with pytest.raises(fastrf.FormatError, match="another field"):
        blind.to_zarr(path, resume=True)
    with pytest.raises(fastrf.FormatError, match="another field or form"):
        field.to_zarr(path, packed=True, chunks=10, resume=True)
    with pytest.raises(fastrf.FormatError, match="has chunks of 10 masks, not 11"):
        field.to_zarr(path, chunks=11, resume=True)
    (tmp_path / "file").write_text("x")
    with pytest.raises(fastrf.FormatError, match="no Zarr array to resume"):
        field.to_zarr(tmp_path / "file", resume=True)
    for place in (tmp_path / "file" / "m.zarr", None):
        with pytest.raises(fastrf.FormatError, match="folder that can be written"):
            field.to_zarr(place)


@pytest.mark.parametrize("fill", [[], [[]]])
def test_a_store_that_says_nonsense_is_one_error(field, tmp_path, fill):
    path = tmp_path / "masks.zarr"
    field.to_zarr(path, chunks=10)
    said = json.loads((path / "zarr.json").read_text())
    (path / "zarr.json").write_text(json.dumps(said | {"fill_value": fill}))
    refused = None
    try:
        field.to_zarr(path, chunks=10, resume=True)
    except fastrf.FormatError as error:
        refused = str(error)
    assert refused is None or "choose another name" in refused  # the lowest zarr takes an empty list for False


def test_a_full_disk_is_one_error(field, tmp_path, monkeypatch):
    def fail(self, k, threads=1):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streams.Stream, "read", fail)
    with pytest.raises(fastrf.FormatError, match="No space left on device; what is there is valid"):
        field.to_zarr(tmp_path / "m.zarr")


@pytest.mark.parametrize("missing", ["zarr", "dask.array"])
def test_the_extra_is_named(field, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(fastrf.MissingExtraError, match=r"pip install 'fastrf\[zarr\]'"):
        field.to_zarr(tmp_path / "m") if missing == "zarr" else field.to_dask()


# On the command line -----------------------------------------------------------------------------------------


def run(*arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["masks", "unet", "--input", "1x16x16", "--node", "dec4", "--chunks", "3", *map(str, arguments)])
    return stopped.value.code


@pytest.mark.parametrize("packed", [False, True])
def test_command(tmp_path, capsys, packed):
    field = fastrf.analyze("unet", (1, 16, 16))["dec4"]
    expected = field.masks(packed=packed)
    options = ["--packed"] if packed else []
    for ending in ("zarr", "npy", "npz"):
        assert run("-o", tmp_path / f"m.{ending}", *options) == 0
        assert f"m.{ending}: {expected.dtype} 4x16x" in capsys.readouterr().err.replace("\n", "")
    assert run("-o", tmp_path / "m.zarr", "--resume", *options) == 0
    assert (np.load(tmp_path / "m.npy") == expected).all()
    assert (np.load(tmp_path / "m.npz")["masks"] == expected).all()
    assert (zarr.open_array(store=str(tmp_path / "m.zarr"))[:] == expected).all()


def test_mistakes_on_the_command_line(tmp_path, capsys):
    for options, message in (
        (["-o", tmp_path / "m.txt"], "use .zarr, .npy or .npz"),
        (["-o", tmp_path / "m.npy", "--resume"], "--resume needs a .zarr"),
        (["-o", tmp_path / "m.npy", "--chunks", "0"], "chunks must be a positive number"),
        (["-o", tmp_path / "no" / "m.npy"], "folder that can be written"),
    ):
        assert run(*options) == 2
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_appears_whole_or_not_at_all(field, tmp_path, monkeypatch):
    stream = streams.Stream.of(field.positional, False, 10)
    for ending in ("npy", "npz"):
        with pytest.raises(KeyboardInterrupt):
            streams.to_file(stream, tmp_path / f"m.{ending}", stop_after(3))
    assert list(tmp_path.iterdir()) == []
