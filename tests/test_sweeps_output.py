"""A sweep's files: formats, parts, what a kill leaves, and resuming without losing or repeating a row."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fastrf
from fastrf.cli.commands import main
from fastrf.spaces import NASBench101, NASBench201
from fastrf.sweeps import gathered, threads, work
from fastrf.sweeps.gathered import gaps_between

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

#: A sweep of 60 rows that takes a while, in parts of a few rows.
SLOW = """
import sys, time
import fastrf
from fastrf.sweeps import gathered
gathered.FLUSH_SECONDS = 0.05

def slowly(field):
    time.sleep(float(sys.argv[2]))
    return field.areas().sum()

table = {"conv1": [3, 1, 1], "pool1": [2, 2, 0]}
candidates = [(f"net {n}", table, (1, n, n)) for n in range(4, 64)]
result = fastrf.sweep(candidates, metrics=["size", slowly], workers=2, output=sys.argv[1], resume="resume" in sys.argv)
print(len(result))
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def some():
    return NASBench201().sample(300, 0)


@pytest.mark.parametrize("ending", ["parquet", "csv", "arrow", "feather"])
def test_every_format_gives_the_same_rows(tmp_path, some, ending):
    path = tmp_path / f"table.{ending}"
    cells = [{"space": "nasbench201", "arch": text} for text in some.ids()[:50]] + [{"space": "nasbench201", "arch": 3}]
    result = fastrf.sweep(cells, output=path)
    assert result.path == path
    assert result.to_rows() == fastrf.sweep(cells).to_rows()
    assert names(tmp_path) == [path.name]
    again = tmp_path / f"again.{ending}"
    fastrf.sweep(cells).write(again)
    assert result.to_rows() == type(result)(None, result.to_arrow().schema, again).to_rows()


def test_a_finished_table_is_not_made_again(tmp_path, some, monkeypatch):
    path = tmp_path / "table.parquet"
    first = fastrf.sweep(some, output=path).to_arrow()
    with pytest.raises(fastrf.FormatError, match="exists; choose another name, go on with resume, or overwrite"):
        fastrf.sweep(some, output=path)
    monkeypatch.setattr(threads, "run_here", None)
    assert fastrf.sweep(some, output=path, resume=True).to_arrow().equals(first)


def test_an_output_of_another_sweep_is_refused(tmp_path, some):
    path = tmp_path / "table.arrow"
    fastrf.sweep(some, output=path)
    other = NASBench201().sample(300, 1)
    with pytest.raises(fastrf.FormatError, match="made by a sweep of other candidates"):
        fastrf.sweep(other, output=path, resume=True)
    with pytest.raises(fastrf.FormatError, match=r"another sweep \(space: nasbench201; now nasbench101\)"):
        fastrf.sweep(NASBench101().sample(300), output=path, resume=True)
    with pytest.raises(fastrf.FormatError, match=r"another sweep \(metrics: size_y.*; now density\)"):
        fastrf.sweep(some, metrics=["density"], output=path, resume=True)
    with pytest.raises(fastrf.FormatError, match="input shape: 3, 32, 32; now 3, 8, 8"):
        fastrf.sweep(some, (3, 8, 8), output=path, resume=True)
    for name in ("foreign.parquet", "foreign.csv", "foreign.arrow"):
        (tmp_path / name).write_text("id\n1\n")
        with pytest.raises(fastrf.FormatError, match="does not say which sweep made it"):
            fastrf.sweep(some, output=tmp_path / name, resume=True)


def test_an_output_that_cannot_be_written(tmp_path, some):
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "file").write_text("")
    for path, said in (
        (tmp_path / "folder.parquet", "no regular file"),
        (tmp_path / "no" / "table.parquet", "No such file or directory; choose a name in a folder"),
        (tmp_path / "file" / "table.parquet", "Not a directory"),
        (tmp_path / "table.xlsx", "ending '.xlsx' is unknown here; use .parquet, .csv"),
        (7, "is no path"),
    ):
        with pytest.raises(fastrf.FormatError, match=said):
            fastrf.sweep(some, output=path)
    assert names(tmp_path) == ["file", "folder.parquet"]
    with pytest.raises(fastrf.FormatError, match=r"ending '.txt' is unknown"):
        fastrf.sweep(some).write(tmp_path / "table.txt")


def test_a_full_disk_leaves_what_is_whole(tmp_path, some, monkeypatch):
    monkeypatch.setattr(gathered, "FLUSH_SECONDS", 0)
    monkeypatch.setattr(work.Columnar, "chunk", 100)
    path, written = tmp_path / "table.parquet", []
    whole = parquet.write_table

    def write_table(table, file):
        if written:
            file.write(b"PAR1")
            raise OSError(28, "No space left on device")
        written.append(whole(table, file))

    monkeypatch.setattr(parquet, "write_table", write_table)
    with pytest.raises(fastrf.FormatError, match="No space left on device; what is there is whole, go on with resume"):
        fastrf.sweep(some, output=path)
    assert len(names(tmp_path / "table.parquet.parts")) == 2
    monkeypatch.setattr(parquet, "write_table", whole)
    with pytest.raises(fastrf.FormatError, match="begun by a sweep that did not end"):
        fastrf.sweep(some, output=path)
    result = fastrf.sweep(some, output=path, resume=True)
    assert result.to_rows() == fastrf.sweep(some).to_rows()
    assert names(tmp_path) == ["table.parquet"]


def test_damaged_parts_are_made_again(tmp_path, some):
    path = tmp_path / "table.parquet"
    expected = fastrf.sweep(some, output=path).to_arrow()
    path.unlink()

    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastrf.sweep(some, output=path, progress=stop)
    folder = tmp_path / "table.parquet.parts"
    part = next(folder.glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-20])
    (folder / f".fastrf-{'0' * 16}").write_bytes(b"")  # as a run that is killed leaves it
    resumed = fastrf.sweep(some, output=path, resume=True)
    assert resumed.to_arrow().combine_chunks().equals(expected.combine_chunks())
    folder.mkdir()
    (folder / "manifest.json").write_text("{")
    path.unlink()
    with pytest.raises(fastrf.FormatError, match="does not say which sweep"):
        fastrf.sweep(some, output=path, resume=True)


def test_a_run_that_fails_at_once_leaves_nothing(tmp_path, some):
    pytest.importorskip("distributed")
    with pytest.raises(fastrf.UsageError, match="client must be"):
        fastrf.sweep(some, client=8786, output=tmp_path / "table.parquet")
    assert names(tmp_path) == []


def test_killed_in_the_middle_then_resumed(tmp_path):
    script, path = tmp_path / "slow.py", tmp_path / "table.parquet"
    script.write_text(SLOW)
    folder = tmp_path / "table.parquet.parts"
    process = subprocess.Popen([sys.executable, script, path, "0.1"], cwd=Path(fastrf.__file__).parent.parent)
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = [parquet.read_table(part) for part in sorted(folder.glob("*.parquet"))]  # every one is whole
    assert 3 <= sum(table.num_rows for table in kept) < 60
    assert not path.exists()
    done = {part.name: part.stat().st_mtime_ns for part in folder.glob("*.parquet")}

    def run(*arguments):
        command = [sys.executable, script, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=Path(fastrf.__file__).parent.parent
        )

    assert done
    refused = run(path, "0")
    assert "begun by a sweep that did not end" in refused.stderr
    assert run(path, "0", "resume").stdout == "60\n"
    assert run(tmp_path / "straight.parquet", "0").stdout == "60\n"
    assert parquet.read_table(path).equals(parquet.read_table(tmp_path / "straight.parquet"))
    assert not folder.exists()


def test_gaps():
    assert gaps_between([], 5) == [(0, 5)]
    assert gaps_between([(0, 2), (2, 3), (4, 5)], 7) == [(3, 4), (5, 7)]
    assert gaps_between([(0, 7)], 7) == []


def test_notebooks_show_whole_numbers_as_such():
    shown = fastrf.sweep(["alexnet"], (3, 227, 227), metrics=["size", "density"])._repr_html_()
    assert ">355<" in shown
    assert "355.0" not in shown


# The command line ---------------------------------------------------------------------------------------------


def called(arguments):
    with pytest.raises(SystemExit) as stopped:
        main(["sweep", *map(str, arguments)])
    return stopped.value.code


def test_command_line_prints_the_best(capsys):
    assert called(["nasbench201", "--sample", "50", "--seed", "3", "--top", "2", "--by", "size", "-i", "3x16x16"]) == 0
    title, _, *printed = capsys.readouterr().out.splitlines()
    assert title == "the best 2 of 50 by size_y, the largest first"
    assert printed[0].split()[:3] == ["id", "size_y", "size_x"]
    best = fastrf.sweep(NASBench201().sample(50, 3), (3, 16, 16)).top(2, "size").to_rows()
    assert [line.split()[0] for line in printed[2:]] == [row["id"] for row in best]


def test_command_line_says_ties(capsys):
    whole = fastrf.sweep(NASBench201().sample(200, 3), metrics=["size", "parameters"])
    sizes = [row["size_y"] for row in whole.to_rows()]
    words = ["nasbench201", "--sample", "200", "--seed", "3", "--metrics", "size,parameters", "--top", "3"]
    assert called([*words, "--by", "size"]) == 0
    said = f"{sizes.count(max(sizes)) - 3} more have the same size_y, {max(sizes):.0f}; of equal ones"
    assert said in capsys.readouterr().err
    assert whole.ties("size", max(sizes)) == sizes.count(max(sizes))
    assert called([*words, "--json", "--by", "size"]) == 0
    assert said in capsys.readouterr().err
    assert called([*words[:-1], "1", "--by", "size", "--sample", "1"]) == 0
    assert "more have the same" not in capsys.readouterr().err


def test_command_line_writes_and_resumes(tmp_path, capsys):
    path = tmp_path / "table.csv"
    lines = tmp_path / "lines.jsonl"
    network = '{"conv1": [3, 1, 1]}'
    lines.write_text(f'"alexnet"\n\n{{"id": "a", "source": {network}, "input_shape": [1, 8, 8]}}\n[1\n7\n')
    assert called([lines, "-o", path, "--metrics", "size, area_max"]) == 0
    assert "4 rows, 2 of them failed" in capsys.readouterr().err
    assert path.read_text().splitlines()[0] == '"id","ok","error","size_y","size_x","area_max"'
    assert called([lines, "-o", path]) == 2
    assert "exists" in capsys.readouterr().err
    assert called([lines, "--json", "--metrics", "size"]) == 0
    assert '"id": "a"' in capsys.readouterr().out
    assert called([lines, "--top", "1", "--metrics", "size"]) == 0
    assert "2 of 4 failed; the first, line 4: line 4 is no candidate in JSON" in capsys.readouterr().err


def test_command_line_refuses(tmp_path, capsys):
    for arguments, said in (
        (["alexnet", "--sample", "3"], "--sample draws from a space"),
        ([tmp_path / "none.jsonl"], "No such file"),
        (["nasbench201", "-i", "3x8x8", "-i", "3x9x9"], "several --input shapes"),
        (["nasbench201", "--metrics", "nope"], "unknown metric 'nope'"),
        (["nasbench201", "--scheduler", "nonsense://x"], "no Dask scheduler at 'nonsense://x'"),
    ):
        assert called(arguments) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "broken.jsonl").write_bytes(b"\xff\xfe")
    assert called([tmp_path / "broken.jsonl"]) == 2
    assert "not UTF-8 text" in capsys.readouterr().err
    several = ["resnet18", "vgg16", "-i", "3x64x64", "-i", "3x96x96", "--node", "map", "--metrics", "size", "--json"]
    assert called([*several, "--top", "9"]) == 0
    assert "resnet18 3x96x96" in capsys.readouterr().out
