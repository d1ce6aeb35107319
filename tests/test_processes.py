"""Processes: signals at any moment, streams that fail, and sweeps that others start in threads and processes."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import fastrf
from fastrf import __main__ as command
from fastrf.cli import commands as cli
from fastrf.sweeps import gathered
from fastrf.system import interrupts
from fastrf.system.files import whole_file
from fastrf.system.terminal import progress_bar

TABLE = {"conv1": [3, 1, 1], "pool1": [2, 2, 0]}
GIVEN = [(f"net {n}", TABLE, (1, n, n)) for n in (8, 9)]
WIDTHS = [4.0, 4.0]


def started(*arguments, options=(), **kwargs):
    """`fastrf` in a process of its own."""
    words = [sys.executable, *options, "-m", "fastrf", *arguments]
    return subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace", **kwargs
    )


def finished(*arguments, **kwargs):
    process = started(*arguments, **kwargs)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


@pytest.fixture(autouse=True)
def interruptible():
    """Shells start what runs beside them with Ctrl-C ignored, which fastrf respects and children inherit."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


# Signals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "number"),
    [("fastrf.errors", 2), ("typer", 2), ("numpy", 15), ("numba.core.types", 2), ("fastrf.engine.kernels", 2)],
)
def test_a_signal_while_modules_are_loaded_ends_the_process_quietly(moment, number, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}  # nothing is cached: there is time enough
    work = ["masks", "unet", "-i", "1x64x64", "-o", str(tmp_path / "m.npy")]  # much, so that Numba is imported
    process = started(*work, options=["-X", "importtime"], env=environment)
    for line in process.stderr:
        if line.split("|")[-1].strip() == moment:
            process.send_signal(number)
            break
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert out == ""
    assert all(line.startswith("import time:") for line in err.splitlines())


def test_an_interrupted_file_leaves_nothing(tmp_path):
    process = started("masks", "unet", "-i", "3x96x96", "-o", "masks.npz", cwd=tmp_path, env=import_path())
    while not list(tmp_path.iterdir()) and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    assert list(tmp_path.iterdir()) == []


def import_path():
    return {**os.environ, "PYTHONPATH": str(Path(fastrf.__file__).parent.parent)}


class Ended(BaseException):
    """What `os._exit` raises here."""


@pytest.fixture
def watched(monkeypatch):
    """Handlers as on the command line, but for the end of the process, and the state put back."""
    before = {name: signal.getsignal(getattr(signal, name)) for name in interrupts.SIGNALS}

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(os, "isatty", lambda _: False)
    monkeypatch.setattr(interrupts.atexit, "register", lambda *_: None)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(interrupts, "_number", 0)
    interrupts.watch()
    yield
    for name, handler in before.items():
        signal.signal(getattr(signal, name), handler)


def send(number=signal.SIGINT):
    signal.raise_signal(number)


def test_outside_of_blocks_the_process_ends_where_it_stands(watched, tmp_path):
    def write():
        with whole_file(tmp_path / "file") as file:
            file.write(b"half")
            send(signal.SIGTERM)

    with pytest.raises(Ended, match="143"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_block_puts_things_in_order_first(watched):
    order = []

    def work():
        try:
            with interrupts.orderly:
                send()
        finally:
            order.append("done")
            send()  # what started this process passed the signal on: it is the same one
            assert interrupts.stopping()

    with pytest.raises(Ended, match="130"), interrupts.orderly:
        work()
    assert order == ["done"]


def test_pressing_again_ends_a_block_that_takes_long(watched, monkeypatch):
    monkeypatch.setattr(interrupts, "SAME", 0.0)

    def work():
        with contextlib.suppress(KeyboardInterrupt):
            send()
        send()
        pytest.fail("the second signal was lost")

    with pytest.raises(Ended, match="130"), interrupts.orderly:
        work()


def test_a_signal_that_a_library_swallows_is_noticed(watched, monkeypatch):
    from rich import console as rich

    def work(report):
        with contextlib.suppress(KeyboardInterrupt):
            send()
        report(1, 2)
        pytest.fail("nobody noticed")

    plain = rich.Console
    with open(os.devnull, "w") as nowhere:
        monkeypatch.setattr(rich, "Console", lambda **_: plain(file=nowhere, force_terminal=True))
        with pytest.raises(Ended, match="130"), progress_bar("masks") as report:
            work(report)


def test_an_interrupted_sweep_keeps_its_rows(watched, tmp_path, monkeypatch):
    monkeypatch.setattr(gathered, "FLUSH_SECONDS", 0.0)

    def stop(done, total):
        if done:
            send()

    with pytest.raises(Ended, match="130"):
        fastrf.sweep(GIVEN, output=tmp_path / "t.parquet", workers=1, progress=stop)
    monkeypatch.setattr(interrupts, "_number", 0)
    assert len(list((tmp_path / "t.parquet.parts").glob("*.parquet"))) == 1
    assert len(fastrf.sweep(GIVEN, output=tmp_path / "t.parquet", resume=True)) == 2


def test_signals_that_are_ignored_stay_so(monkeypatch):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts._handle(interrupts._stop)
    ignored = signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, before)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    assert ignored == signal.SIG_IGN


@pytest.mark.parametrize(
    ("raised", "code"), [(KeyboardInterrupt(), 130), (SystemExit(0), 2), (ZeroDivisionError("x"), 2)]
)
def test_whatever_a_command_raises_has_an_exit_code(raised, code, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise raised

    monkeypatch.setattr("fastrf.analysis.analyze", fail)
    with pytest.raises(SystemExit) as stop:
        cli.main(["summary", "alexnet"])
    assert stop.value.code == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == (code == 2)


# Streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--version"], ["zoo"], ["summary", "--help"]])
def test_warnings_as_errors_are_none(arguments):
    code, out, err = finished(*arguments, options=["-W", "error"])
    assert (code, err) == (0, "")
    assert out


def test_no_arguments_is_help_and_bad_usage():
    code, out, err = finished()
    assert (code, err) == (2, "")
    assert "Usage: fastrf" in out


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_character_can_be_shown(encoding, tmp_path):
    (tmp_path / "net.json").write_text(
        '{"name": "\\u03c3", "input_shape": [1, 8, 8], "layers": [{"name": "\\u2192\\u00e9", "op": "relu"}]}'
    )
    environment = {**import_path(), "PYTHONIOENCODING": encoding, "LC_ALL": "C"}
    for arguments in (["summary", "net.json"], ["summary", "--help"], ["summary", "\udcff"]):
        code, _, err = finished(*arguments, cwd=tmp_path, env=environment)
        assert code == 2 * ("\udcff" in arguments), err
        assert "Traceback" not in err


@pytest.mark.parametrize(
    ("closed", "code", "err"), [("1", 2, "fastrf: the output cannot be written: Bad file descriptor\n"), ("2", 2, "")]
)
def test_streams_that_are_closed(closed, code, err):
    words = ["zoo"] if closed == "1" else ["nope"]
    shell = ["sh", "-c", f'exec "$@" {closed}>&-', "sh", sys.executable, "-m", "fastrf", *words]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", err)


def test_streams_are_opened_where_there_are_none(monkeypatch):
    taken = []
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    monkeypatch.setattr(os, "open", lambda path, _: taken.append(path) or 7 + len(taken))
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    command._open_streams()
    assert taken == [os.devnull] * 3
    assert (sys.stdout.errors, sys.stderr.encoding) == ("backslashreplace", "utf-8")


def test_both_entries_are_one(capsys, monkeypatch, watched):
    monkeypatch.setattr(sys, "argv", ["fastrf", "zoo"])
    with pytest.raises(SystemExit) as stop:
        command.main()
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert out == finished("zoo")[1]


# Sweeps in threads and processes of others -------------------------------------------------------------------------


def widths(_=None):
    return [row["size_y"] for row in fastrf.sweep(GIVEN, metrics=["size"], workers=2).to_rows()]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_sweep_in_processes(method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        assert pool.submit(widths).result() == WIDTHS


def test_sweeps_in_threads_and_under_asyncio():
    async def several():
        return await asyncio.gather(*(asyncio.to_thread(widths) for _ in range(3)))

    async def direct():
        return widths()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert asyncio.run(several()) == [WIDTHS] * 3
        assert asyncio.run(direct()) == WIDTHS
