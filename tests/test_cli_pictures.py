"""Pictures of masks that the command line writes."""

from __future__ import annotations

import numpy as np
import pytest

from fastrf.cli import commands


@pytest.fixture
def run(capsys):
    """Run the command and give (exit code, stdout, stderr)."""

    def call(*arguments):
        with pytest.raises(SystemExit) as stop:
            commands.main(list(arguments))
        out, err = capsys.readouterr()
        return stop.value.code or 0, out, err

    return call


def test_pictures_have_whole_ticks_and_are_not_stretched_unsaid(run, tmp_path, monkeypatch):
    image = pytest.importorskip("matplotlib.image")
    figure = pytest.importorskip("matplotlib.figure").Figure
    ticks = []

    def looked_at(self, *given, **more):
        ticks.extend([*self.axes[0].get_xticks(), *self.axes[0].get_yticks()])
        return plain(self, *given, **more)

    plain = figure.savefig
    monkeypatch.setattr(figure, "savefig", looked_at)
    image.imsave(tmp_path / "wide.png", np.zeros((8, 16)))
    common = ["mask", "resnet18", "-i", "3x11x11", "-n", "layer1", "--at", "1,1", "-o"]
    _, _, err = run(*common, str(tmp_path / "a.png"), "--image", str(tmp_path / "wide.png"))
    assert err.startswith(f"{tmp_path / 'wide.png'} of 8x16 is stretched to the 11x11 of the input; cut it")
    assert ticks
    assert all(tick == round(tick) for tick in ticks)
    image.imsave(tmp_path / "odd.png", np.zeros((480, 481)))  # rounding
    _, _, err = run(*common, str(tmp_path / "b.png"), "--image", str(tmp_path / "odd.png"))
    assert err.startswith("wrote")


def test_masks_are_laid_over_pictures(run, tmp_path):
    image = pytest.importorskip("matplotlib.image")
    image.imsave(tmp_path / "photo.png", np.zeros((9, 9)))
    common = ["mask", "resnet18", "-i", "3x64x64", "-n", "layer2", "--at", "1,1", "-o"]
    for name, more in (("plain.png", []), ("over.png", ["--image", str(tmp_path / "photo.png")])):
        code, _, err = run(*common, str(tmp_path / name), *more)
        assert code == 0, err
        assert image.imread(tmp_path / name).shape[2] == 4
    assert (tmp_path / "plain.png").read_bytes() != (tmp_path / "over.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(b"no picture")
    code, _, err = run(*common, str(tmp_path / "c.png"), "--image", str(tmp_path / "broken.png"))
    assert (code, "give a picture" in err) == (2, True)
    assert not (tmp_path / "c.png").exists()
