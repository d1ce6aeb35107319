"""Files of strangers: read within bounds, written whole, and nothing that fastrf did not make is touched."""

from __future__ import annotations

import gc
import io
import json
import os
import stat
import threading
import zipfile

import numpy as np
import pytest

import fastrf
from fastrf.anchors import read_boxes
from fastrf.system import files

HEADER = "{{'descr': '<f8', 'fortran_order': False, 'shape': {}, }}\n"


def npy(path, header):
    content = header.encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content + bytes(64))
    return path


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "field.npz"
    fastrf.analyze([fastrf.conv(2, 3)], (1, 6, 5)).output.save(path)
    return path


def with_header(path, **changes):
    arrays = dict(np.load(path))
    header = {**json.loads(arrays["header"].tobytes()), **changes}
    header["nominal"] = [{**piece, **header.pop("piece", {})} for piece in header["nominal"]]
    np.savez(path, **{**arrays, "header": np.frombuffer(json.dumps(header).encode(), np.uint8)})
    return path


# Reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 4), \n",
        HEADER.format("(4398046511108,)"),
        HEADER.format("(99999999999999999999999, 4)"),
        HEADER.format("(-2, -4)"),
        HEADER.format("(2, 3)"),
        HEADER.format("(2, 4)").replace("<f8", "|O"),
        HEADER.format("(2, 4)").replace("<f8", "<U2"),
        "(" * 200 + "\n",
    ],
)
def test_the_header_of_an_array_must_tell_what_is_there(tmp_path, header):
    with pytest.raises(fastrf.FormatError, match="not an array that NumPy saved"):
        read_boxes(npy(tmp_path / "boxes.npy", header))


def test_an_array_in_either_order(tmp_path):
    for order in "CF":
        np.save(tmp_path / "boxes.npy", np.array([[1, 2, 3, 4], [5, 6, 7, 8]], order=order))
        assert read_boxes(tmp_path / "boxes.npy").corners.tolist() == [[1, 2, 4, 6], [5, 6, 12, 14]]


def test_an_archive_that_unpacks_to_too_much(tmp_path, monkeypatch):
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, header=np.zeros(1 << 20, np.uint8))
    monkeypatch.setattr(fastrf.limits, "arrays", 1 << 19)
    with pytest.raises(fastrf.LimitError, match=r"unpack to 1,048,.*fastrf\.limits\(arrays="):
        fastrf.load_field(path)


def test_an_array_that_claims_more_than_its_archive_holds(tmp_path):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": "|u1", "fortran_order": False, "shape": (1 << 40,)})
    path = tmp_path / "claims.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.npy", content.getvalue())
    with pytest.raises(fastrf.FormatError, match="takes 1099511627776 bytes, but 0 are there"):
        fastrf.load_field(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"axes": [[1 << 62], [1 << 62], [1 << 62]]},
        {"axes": [[0], [1 << 40], [1 << 40]]},
        {"input_shape": [1 << 33, 1 << 33]},
        {"name": "\x1b[31m"},
        {"approximate_at": "ab\n"},
        {"approximate_at": [1]},
        {"assumes": ["\x07"]},
        {"periods": [1 << 70, 1]},
        {"periods": [True, 1]},
        {"piece": {"phases": [[[0, 1, 1.5]], [[1, 1, 1]]]}},
        {"piece": {"phases": [[[1, 1, 1], [0, 1, 1]], [[1, 1, 1]]]}},
        {"piece": {"phases": [[[0, 1, 1 << 70]], [[1, 1, 1]]]}},
        {"piece": {"offsets": [1, 0]}},
        {"piece": {"kinds": [0]}},
        {"piece": {"axes": [[1 << 40], [1 << 40]]}},
        {"piece": {"irregular": ["\n", ""]}},
        {"terms": [[[[], [], 0]]]},
        {"terms": [[[[1], [0, 1, 2], 0]]]},
        {"terms": 5},
        {"columns": [-1]},
    ],
)
def test_a_field_is_what_its_header_says_or_refused(saved, changes):
    with pytest.raises(fastrf.FormatError, match="not a field"):
        fastrf.load_field(with_header(saved, **changes))


def test_sizes_whose_product_overflows_are_refused(tmp_path):
    """2^32 * 2^32 is 0 in 64 bits: one group of no rows would seem to fit."""
    path = tmp_path / "field.npz"
    fastrf.analyze([fastrf.conv(2, 3)], (1, 6, 5)).output.save(path)
    with pytest.raises(fastrf.FormatError, match="more elements than can be counted"):
        fastrf.load_field(with_header(path, axes=[[2], [1 << 32, 1 << 32], [3]]))


def test_pipes_are_no_files(tmp_path):
    for name in ("net.json", "net.toml", "boxes.csv", "boxes.npy", "field.npz", "boxes.json"):
        os.mkfifo(tmp_path / name)
        read = read_boxes if name.startswith("boxes") else fastrf.load if name.startswith("net") else fastrf.load_field
        with pytest.raises(fastrf.FormatError, match="pipe"):
            read(tmp_path / name)


def test_annotations_are_shallow(tmp_path):
    """Quadratic in the depth otherwise."""
    path = tmp_path / "deep.xml"
    path.write_text("<annotation>" + "<a>" * 200_000)
    with pytest.raises(fastrf.FormatError, match="more than 64 deep"):
        read_boxes(path)
    path.write_text("<annotation><size><width>" + "1<!-- -->" * 100_000 + "</width></size></annotation>")
    with pytest.raises(fastrf.FormatError, match="no usable box"):
        read_boxes(path)


def test_pictures_that_are_pipes_or_never_end(tmp_path):
    from fastrf.anchors.boxes.readers import picture_size

    os.mkfifo(tmp_path / "a.jpg")
    assert picture_size(tmp_path / "a.jpg") is None
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 200_000)
    assert picture_size(tmp_path / "b.jpg") is None


def test_long_names_are_not_compared(tmp_path):
    layers = [{"name": "ab" * 490 + str(k), "op": "relu"} for k in range(300)]
    with pytest.raises(fastrf.NetworkError, match="check its spelling"):
        fastrf.load({"input_shape": [1, 4], "layers": [*layers, {"op": "relu", "inputs": ["ab" * 492]}]})


def test_nesting_and_integers_are_bounded(tmp_path):
    path = tmp_path / "deep.json"
    for inner in ("[" * 500 + "]" * 500, '{"a":' * 500 + "1" + "}" * 500, "1" + "0" * 400):
        path.write_text('{"input_shape": [1, 4], "layers": [{"op": "relu", "scale": ' + inner + "}]}")
        with pytest.raises(fastrf.FormatError, match=r"nested more than 64 deep|more than 1024 bits"):
            fastrf.load(path)
    toml = tmp_path / "large.toml"
    toml.write_text(f"input_shape = [1, 4]\n[[layers]]\nop = 'relu'\nn = 0x{'f' * 5000}\n")
    with pytest.raises(fastrf.FormatError, match="more than 1024 bits"):
        fastrf.load(toml)


@pytest.mark.parametrize(
    "text", ["{key} = 1", "[{key}]", "a = {{{key} = 1}}", "[[{key}]]", "x = '''\n' '''\n{key} = 1"]
)
def test_long_dotted_keys_are_refused_before_they_are_parsed(tmp_path, text):
    path = tmp_path / "keys.toml"
    path.write_text(text.format(key=" . ".join(["a", "'b'", '"c"', "1"] * 2)))
    files.parse_toml(path.read_text(), path)
    path.write_text(text.format(key=" . ".join(["a", "'b'", '"c"', "1"] * 3)))
    with pytest.raises(fastrf.LimitError, match=r"\(key_parts=8\) allows; raise it"):
        fastrf.load(path)


def test_dots_elsewhere_in_toml_are_no_keys(tmp_path):
    dots = ".".join("a" * 200)
    text = f"name = '{dots}' # {dots}\nx = [{'1.5, ' * 200}]\ny = \"{dots}\"\nz = '''\n{dots}'''\n"
    text += f'w = """\n{dots}\\""""\n'
    assert set(files.parse_toml(text, "here")) == {"name", "x", "y", "z", "w"}


# Writing ------------------------------------------------------------------------------------------------------


def test_permissions_are_those_of_the_umask_or_of_the_file_before(tmp_path):
    mask = os.umask(0o027)
    try:
        with files.whole_file(tmp_path / "new") as file:
            file.write(b"new")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
        (tmp_path / "new").chmod(0o600)
        with files.whole_file(tmp_path / "new") as file:
            file.write(b"again")
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    finally:
        os.umask(mask)


def test_the_umask_of_the_process_is_never_changed(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "umask", None)
    with files.whole_file(tmp_path / "new") as file:
        file.write(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_link_is_written_through_or_replaced(tmp_path):
    (tmp_path / "target").write_text("old")
    for name in ("through", "replaced"):
        (tmp_path / name).symlink_to("target")
    with files.whole_file(tmp_path / "through") as file:
        file.write(b"new")
    assert (tmp_path / "through").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    with files.whole_file(tmp_path / "replaced", through_links=False) as file:
        file.write(b"own")
    assert not (tmp_path / "replaced").is_symlink()
    assert (tmp_path / "target").read_text() == "new"
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(fastrf.FormatError, match="loop"), files.whole_file(tmp_path / "loop"):
        pass


def test_a_name_as_long_as_names_may_be(tmp_path):
    path = tmp_path / ("ü" * 125)
    with files.whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_writers_of_one_name_do_not_mix(tmp_path):
    def write(letter):
        with files.whole_file(tmp_path / "one") as file:
            for _ in range(100):
                file.write(letter * 100)

    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"a", b"b", b"c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = (tmp_path / "one").read_bytes()
    assert content == content[:1] * 10_000
    assert len(list(tmp_path.iterdir())) == 1


# The parts of a sweep -----------------------------------------------------------------------------------------


@pytest.fixture
def sweep(tmp_path):
    pytest.importorskip("pyarrow")
    some = fastrf.spaces.NASBench201().sample(5)

    def run(name="t.parquet", **options):
        return fastrf.sweep(some, output=tmp_path / name, progress=False, **options)

    return run


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("manifest", [None, "[]", '{"format": "else"}', '{"no": 1}'])
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_someone_else_is_left_alone(tmp_path, sweep, manifest, linked, resume):
    home = tmp_path / ("home" if linked else "t.parquet.parts")
    home.mkdir()
    for name in (".bashrc", "notes.txt", "000000000000-000000000005.parquet", ".fastrf-" + "0" * 16):
        (home / name).write_text("precious")
    if manifest is not None:
        (home / "manifest.json").write_text(manifest)
    if linked:
        (tmp_path / "t.parquet.parts").symlink_to(home)
    before = contents(home)
    with pytest.raises(fastrf.FormatError, match=r"left alone|does not say which sweep|begun by a sweep"):
        sweep(resume=resume)
    assert contents(home) == before
    assert not (tmp_path / "t.parquet").exists()


def interrupted(tmp_path, sweep):
    """A folder of parts as a run leaves it that was stopped."""
    from fastrf.sweeps.parts import Parts
    from fastrf.sweeps.run import work_of

    work = work_of(fastrf.spaces.NASBench201().sample(5), None, None, None)
    parts = Parts(tmp_path / "t.parquet", work.manifest(), work.schema, False)
    parts.write(0, [work.run(0, 2)])
    return parts.folder


def test_what_lies_in_a_folder_of_parts_beside_them_stays(tmp_path, sweep):
    folder = interrupted(tmp_path, sweep)
    (tmp_path / "precious").write_text("precious")
    (folder / "notes.parquet").write_text("precious")
    (folder / ".bashrc").write_text("precious")
    (folder / "000000000002-000000000005.parquet").symlink_to(tmp_path / "precious")
    (folder / (".fastrf-" + "0" * 16)).symlink_to(tmp_path / "precious")
    (folder / (".fastrf-" + "1" * 16)).write_text("half of a part")
    assert len(sweep(resume=True)) == 5
    assert (tmp_path / "precious").read_text() == "precious"
    assert {".bashrc", "notes.parquet", ".fastrf-" + "0" * 16} <= {path.name for path in folder.iterdir()}
    assert not (folder / "manifest.json").exists()


def test_a_folder_that_holds_only_parts_goes(tmp_path, sweep):
    interrupted(tmp_path, sweep)
    assert len(sweep(resume=True)) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


# What does not fit ------------------------------------------------------------------------------------------


def test_boxes_that_no_picture_has():
    rows = [[0, 0, 1.8e-307, 1.8e-307], [0, 0, 1e300, 1], [1e300, 0, 1, 1], [0, 0, 3, 4]]
    boxes = read_boxes(np.array(rows))
    assert boxes.corners.tolist() == [[0, 0, 3, 4]]
    assert "3 boxes left out, of a side or place beyond any picture's" in str(boxes.rejected[0])
    with pytest.raises(fastrf.FormatError, match="sizes are positive pixels"):
        fastrf.anchors.read_anchors([[[1e-300, 1e-300]]])


def test_positions_that_are_none():
    field = fastrf.analyze([fastrf.conv(2, 3)], (1, 6, 5)).output
    for positions in ("ab", {1: 2}, 5, [["1", "2"]], [[1.5, 2.0]]):
        with pytest.raises(fastrf.FastRFError, match="positions must"):
            field.masks(positions)


def test_a_store_is_resumed_only_where_it_is_what_would_be_written(tmp_path):
    zarr = pytest.importorskip("zarr")
    field, path, home = fastrf.analyze([fastrf.conv(2, 3)], (1, 6, 5)).output, tmp_path / "m.zarr", tmp_path / "home"
    field.to_zarr(path, chunks=4)
    masks = zarr.open_array(path)[:]
    (path / "c" / "1" / "0" / "0").unlink()
    assert (field.to_zarr(path, chunks=4, resume=True)[:] == masks).all()
    metadata = (path / "zarr.json").read_text()
    for old, new in (('"bool"', '"int8"'), ('"zstd"', '"gzip"'), ("4,", "5,"), ('"bytes"', '"pickle"')):
        (path / "zarr.json").write_text(metadata.replace(old, new, 1))
        with pytest.raises(fastrf.FormatError, match=r"m\.zarr"):
            field.to_zarr(path, chunks=4, resume=True)
    for place in ("/dev/zero", "home"):
        (path / "zarr.json").unlink()
        (path / "zarr.json").symlink_to(place)
        with pytest.raises(fastrf.FormatError, match="has links in it"):
            field.to_zarr(path, chunks=4, resume=True)
    (path / "zarr.json").unlink()
    (path / "zarr.json").write_text(metadata)
    (path / "c" / "1").rename(home)
    (home / "0" / "0").unlink()
    (path / "c" / "1").symlink_to(home)
    with pytest.raises(fastrf.FormatError, match="has links in it"):
        field.to_zarr(path, chunks=4, resume=True)
    assert list((home / "0").iterdir()) == []


def test_a_field_of_another_format_says_what_to_do(tmp_path):
    path = tmp_path / "field.npz"
    fastrf.analyze([fastrf.conv(1, 3)], (1, 5)).output.save(path)
    with np.load(path) as saved:
        arrays = dict(saved)
    old = arrays["header"].tobytes().replace(b"fastrf field 2", b"fastrf field 1")
    np.savez(path, **{**arrays, "header": np.frombuffer(old, np.uint8)})
    with pytest.raises(fastrf.FormatError, match=r"'fastrf field 1'.*analyse the network again") as error:
        fastrf.load_field(path)
    assert str(path) in str(error.value)


def test_garbage_is_left_alone_while_json_is_read(monkeypatch) -> None:
    """Among millions of values that all stay, looking for garbage takes a hundred times as long as reading."""
    seen = []
    monkeypatch.setattr(json, "loads", lambda *_, **__: seen.append(gc.isenabled()))
    files.parse_json("[]", "here")
    assert (seen, gc.isenabled()) == ([False], True)
