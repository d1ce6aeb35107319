"""Every command on a pseudo-terminal of any width and encoding: no number wrapped, nothing wider, no traceback."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

LONG = "a_module_of_many_words." * 9
COMMANDS = {
    "summary": "summary resnet50",
    "folded": "summary resnet50 --depth 1",
    "long": "summary long.json",
    "anchors": "anchors yolov5s --levels P3,P4,P5 --anchors yolov5",
    "suggested": "anchors yolov5s --levels P3,P4,P5 -a yolov5 -b boxes.csv -i 3x640x640 -s kmeans --layout 3x3",
    "framework": "anchors s3fd --levels conv3_3_head,conv6_2_head -s s3fd --centers nominal --framework torchvision",
    "sweep": "sweep alexnet vgg16 resnet18 -i 3x227x227",
    "boxes": "boxes alexnet --node pool5",
    "zoo": "zoo",
}
SCRIPT = f"""
from fastrf.cli.commands import main
for name, command in {COMMANDS!r}.items():
    print("@" + name, flush=True)
    try:
        main(command.split())
    except SystemExit as ended:
        print("@ended", ended.code, flush=True)
"""


def printed(folder: Path, width: int, encoding: str) -> dict[str, list[str]]:
    """What each command printed on a terminal so wide, in lines."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        environment = os.environ | {"PYTHONIOENCODING": encoding, "TERM": "xterm"}
        environment.pop("COLUMNS", None)
        os.execve(sys.executable, [sys.executable, "-c", SCRIPT], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    read = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(terminal, 1 << 16):
            read += part
    os.close(terminal)
    assert os.waitpid(child, 0)[1] == 0, read.decode(encoding, "replace")[-2000:]
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", read.decode(encoding)).replace("\r\n", "\n")
    parts = re.split(r"^@(\w+)\n", text, flags=re.MULTILINE)[1:]
    told = zip(parts[::2], parts[1::2], strict=True)
    return {name: [re.sub(".*\r", "", line) for line in lines.splitlines()] for name, lines in told}


def test_letters_that_stdout_has_not_are_spelled_and_columns_stay_straight(tmp_path):
    layer = '[[layers]]\nname = "{}"\nop = "conv"\nout_channels = 1\nkernel_size = 3\n'
    text = "input_shape = [1, 8, 8]\n" + layer.format("gr\u00f6\u00dfe") + layer.format("\u5c64")
    (tmp_path / "net.toml").write_text(text, encoding="utf-8")
    for encoding, name in (("ascii", r"gr\xf6\xdfe"), ("latin-1", "gr\u00f6\u00dfe")):
        for command in ("summary", "mask", "why"):
            words = [sys.executable, "-m", "fastrf", command, "net.toml"]
            environment = os.environ | {"PYTHONIOENCODING": encoding}
            said = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, check=True).stdout
            lines = said.decode(encoding).splitlines()
            assert any(r"\u5c64" in line for line in lines)
            if command == "summary":
                rows = [line for line in lines if "conv" in line]
                assert rows[0].split()[0] == name
                assert len({line.index("conv") for line in rows}) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="pseudo-terminals need a Unix")
@pytest.mark.parametrize(
    ("width", "encoding"), [(60, "utf-8"), (80, "utf-8"), (120, "utf-8"), (200, "utf-8"), (80, "cp1252"), (80, "ascii")]
)
def test_every_table_fits_the_terminal(tmp_path, width, encoding):
    layers = [{"name": f"{LONG}conv{k}", "op": "conv", "out_channels": 8, "kernel_size": 3} for k in range(9)]
    (tmp_path / "long.json").write_text(str({"input_shape": [3, 64, 64], "layers": layers}).replace("'", '"'))
    (tmp_path / "boxes.csv").write_text("w,h\n" + "".join(f"{7 * k},{9 * k + 5}\n" for k in range(1, 40)))
    told = printed(tmp_path, width, encoding)
    assert list(told) == list(COMMANDS)
    for name, lines in told.items():
        assert max(map(len, lines)) <= width, name
        assert "Traceback" not in "\n".join(lines), name
        assert any(re.fullmatch(r" [-\u2500]{20,}", line) for line in lines), name
    fields = [line.split() for line in told["folded"]]
    assert [row[0] for row in fields if "427" in row] == ["layer4"]
    assert any(row[:1] == ["layer3"] and "267" in row and "16" in row for row in fields)
    sizes = [size for line in told["long"] for size in re.findall(r"(?<=\s)\d+(?=\s+1(\s|$))", line)]
    assert len(sizes) >= 9


@pytest.mark.skipif(not hasattr(os, "fork"), reason="pseudo-terminals need a Unix")
def test_the_receptive_field_is_bold_where_people_look(tmp_path, monkeypatch):
    from fastrf.system import terminal

    monkeypatch.setattr(terminal, "_is_terminal", lambda _: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.shows_bold()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.shows_bold()
