"""The page of checks in CI runs from start to end; the GitHub Action and the hook run what is there, no more."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import fastrf
from tests import snippets
from tests.conftest import INTERPRETED

ROOT = snippets.ROOT
ACTION = ROOT / ".github" / "actions" / "check" / "action.yml"
NET = """input_shape = [1, 16, 16]
layers = [
  { name = "one", op = "conv", out_channels = 4, kernel_size = 3, padding = 1 },
  { name = "two", op = "conv", out_channels = 4, kernel_size = 3, padding = 1 },
]
"""


class Story(snippets.Reader):
    """A page whose files change: modules are read anew, `pytest` is run, and `...` stands for any lines."""

    def read(self, page):
        for kind, body in snippets.fences(page):
            file = re.match(r"# ([\w./]+\.py)\n", body)
            if kind == "text" and self.printed is not None and "..." in body.splitlines():
                if not matches(snippets.lines(self.printed), snippets.lines(body)):
                    pytest.fail(f"{body} is not what is printed:\n{self.printed}")
                self.checked += 1
                continue
            super().read(f"```{kind}\n{body}```\n")
            if file:
                sys.modules.pop(Path(file[1]).stem, None)
                importlib.invalidate_caches()
        return self.checked

    def command(self, line):
        if line.split()[0] != "pytest":
            return super().command(line)
        done = run_pytest(*shlex.split(line)[1:])
        assert done.returncode == 0, done.stdout
        return done.stdout


def matches(found, said):
    """Whether lines are those that are said, where `...` stands for any number of them."""
    if not said:
        return not found
    if said[0] == "...":
        return any(matches(found[k:], said[1:]) for k in range(len(found) + 1))
    return bool(found) and found[0] == said[0] and matches(found[1:], said[1:])


def run_pytest(*words, folder=".", **environment):
    """Run pytest with the plugin, in a process of its own, which finds no settings above the folder."""
    Path(folder, "pytest.ini").touch()
    given = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", **environment}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "fastrf.testing", "-p", "no:cacheprovider", *words]
    return subprocess.run(command, cwd=folder, env=given, capture_output=True, text=True, check=False)


@pytest.mark.skipif(INTERPRETED, reason="pages run with compiled kernels")
def test_the_page_runs_from_start_to_end(tmp_path, monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "model", raising=False)
    assert Story().read((ROOT / "docs" / "ci.md").read_text()) >= 6
    monkeypatch.delitem(sys.modules, "model", raising=False)


def test_ellipses():
    assert matches(["a", "b", "c"], ["a", "...", "c"])
    assert matches(["a", "c"], ["...", "a", "...", "c", "..."])
    assert not matches(["a", "c"], ["a", "...", "b"])
    assert not matches(["a", "c"], ["a"])


def documents(text):
    """The YAML of a page."""
    yaml = pytest.importorskip("yaml")
    return [yaml.safe_load(body) for body in snippets.blocks(text, "yaml")]


@pytest.fixture
def action():
    yaml = pytest.importorskip("yaml")
    if not ACTION.exists():
        pytest.skip("a source distribution has no files of the repository")
    return yaml.safe_load(ACTION.read_text())


def test_workflows_of_the_page_give_what_the_action_takes(action):
    workflow, comment, hooks = documents((ROOT / "docs" / "ci.md").read_text())
    uses = [step for step in workflow["jobs"]["check"]["steps"] if "fastrf" in step["uses"]]
    assert [step["uses"].partition("@")[0] for step in uses] == ["fastrf/fastrf/.github/actions/check"]
    assert set(uses[0]["with"]) <= set(action["inputs"])
    told = set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\| (.*?) \|", page_table(), re.MULTILINE))))
    assert told == set(action["inputs"])
    assert any("fastrf diff" in step.get("run", "") for step in comment["jobs"]["diff"]["steps"])
    assert [hook["id"] for hook in hooks["repos"][0]["hooks"]] == ["fastrf-check"]


def page_table():
    """The table of inputs."""
    text = (ROOT / "docs" / "ci.md").read_text()
    return text[text.index("| `model` |") :].partition("\n\n")[0]


def test_no_input_is_read_by_a_shell(action):
    for step in action["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
        assert "run" not in step or step["shell"] == "bash"
    read = set(re.findall(r"inputs\.([\w-]+)", ACTION.read_text()))
    assert read == set(action["inputs"])


@pytest.fixture
def step(action, tmp_path):
    """Runs a step's script with variables, as GitHub does: whatever `python` is called with goes to this one."""
    tools = tmp_path / "tools"
    tools.mkdir()
    python = tools / "python"
    python.write_text(
        f'#!/bin/sh\nif [ "$1 $2" = "-m pip" ]; then echo "pip:$4"; exit; fi\nexec {shlex.quote(sys.executable)} "$@"\n'
    )
    python.chmod(0o755)
    (tmp_path / "work").mkdir()
    scripts = {one["name"]: one for one in action["runs"]["steps"] if "run" in one}

    def run(name, **given):
        one = scripts[name]
        variables = {key: "" for key in one.get("env", {}) if key.startswith("FASTRF_")}
        assert set(given) <= set(variables)
        files = {"GITHUB_OUTPUT": str(tmp_path / "output"), "GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
        path = f"{tools}{os.pathsep}{os.environ['PATH']}"
        here = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "RUNNER_TEMP": str(tmp_path), **files}
        script = tmp_path / "script.sh"
        script.write_text(one["run"])
        words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)]
        options = {"cwd": tmp_path / "work", "capture_output": True, "text": True}
        return subprocess.run(words, check=False, env={**here, **variables, **given}, **options)

    return run


def test_the_check_of_the_action(step, tmp_path):
    work = tmp_path / "work"
    (work / "net.toml").write_text(NET)
    (work / "rules.toml").write_text('rules = ["output.exact == true"]\n')
    fastrf.Lock.of(fastrf.analyze(work / "net.toml")).save(work / "rf.lock.json")
    given = {"FASTRF_MODEL": "net.toml", "FASTRF_LOCK": "rf.lock.json"}
    rules = "one.size >= 3\n\n  two.size == (5, 5)\nrules.toml\n"
    done = step("Check receptive fields", **given, FASTRF_RULES=rules, FASTRF_INPUT="1x16x16\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: 4 checks" in done.stdout + done.stderr
    assert "two.size == (5, 5)" in (tmp_path / "summary").read_text()
    (work / "net.toml").write_text(NET.replace("padding = 1 },\n]", "padding = 2, dilation = 2 },\n]"))
    done = step("Check receptive fields", **given, FASTRF_SARIF="out.sarif")
    assert done.returncode == 1
    assert "::error file=rf.lock.json" in done.stdout
    assert "two" in (work / "out.sarif").read_text()
    done = step("Check receptive fields", **given, FASTRF_SARIF="out.json")
    assert (done.returncode, "sarif is the path of a .sarif file" in done.stdout) == (2, True)


HOSTILE = ["\"; touch pwned; \"$(touch pwned)`touch pwned`';touch pwned;'", "--help", "a\n$(touch pwned)"]


@pytest.mark.parametrize("text", HOSTILE)
def test_inputs_are_words_whatever_they_hold(step, tmp_path, text):
    names = ("FASTRF_MODEL", "FASTRF_INPUT", "FASTRF_RULES", "FASTRF_LOCK")
    for name in names:
        given = {"FASTRF_MODEL": "alexnet", "FASTRF_RULES": "output.size >= 1", name: text}
        done = step("Check receptive fields", **given)
        assert done.returncode == 2, (name, done.stdout)
        assert done.stderr.startswith("fastrf: ")
    for name in ("FASTRF_VERSION", "FASTRF_EXTRAS"):
        done = step("Install fastrf", **{name: text})
        assert (done.returncode, "::error::" in done.stdout) == (2, True)
    assert not list(tmp_path.rglob("pwned"))


def test_what_the_action_installs_and_how_it_names_the_cache(step, tmp_path):
    for version, extras, wanted in (
        ("", "", "fastrf"),
        ("0.1.0", "", "fastrf==0.1.0"),
        ("1.2rc1", "torch,onnx", "fastrf[torch,onnx]==1.2rc1"),
    ):
        done = step("Install fastrf", FASTRF_VERSION=version, FASTRF_EXTRAS=extras)
        assert done.stdout == f"pip:{wanted}\n"
    done = step("Name the cache of kernels")
    assert done.returncode == 0, done.stderr
    output = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    assert output["folder"] == f"{tmp_path}/fastrf-kernels"
    assert re.fullmatch(r"fastrf-kernels-3\.\d+\.\d+-[\w.]+-[\w.]+", output["key"])


def test_commands_of_the_action_and_the_hook_exist(action):
    import typer.main

    from fastrf.cli.commands import app

    commands = typer.main.get_command(app).commands
    scripts = "\n".join(one.get("run", "") for one in action["runs"]["steps"])
    assert set(re.findall(r"python -m fastrf (\w+)", scripts)) == {"warmup", "check"}
    known = {name for one in commands["check"].params for name in one.opts}
    assert set(re.findall(r"(--[a-z]+)", scripts)) <= known
    yaml = pytest.importorskip("yaml")
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == "fastrf-check"
    command, name = hook["entry"].split()
    assert (command, name in commands) == ("fastrf", True)
    assert 'fastrf = "fastrf.__main__:main"' in (ROOT / "pyproject.toml").read_text()
    assert {"name", "language", "pass_filenames"} <= set(hook)
    assert hook["types"] == ["file"]  # what it is asked for may be a file of any kind
