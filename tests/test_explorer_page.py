"""The page as a file: one scope of modules, a policy that lets nothing in, names that stay text, what changed."""

import base64
import hashlib
import html
import json
import re
import zlib

import pytest

import fastrf
from fastrf.cli.commands import main
from fastrf.explorer import page
from fastrf.explorer.encoding import encoded

HOSTILE = "</script><img src=x onerror=alert(1)>{{script}}<!--'\"&\\u2028"


def header(text):
    """What the document in a page, or in a text, says before its numbers."""
    found = re.search(r'id="fastrf-document">([^<]*)</script>', text)
    whole = zlib.decompress(base64.b64decode(found[1] if found else text))
    length = int.from_bytes(whole[:4], "little")
    return json.loads(whole[4 : 4 + length])


def small(name="conv", title="small", channels=2):
    """A network of two layers."""
    layers = [{"name": name, "op": "conv", "out_channels": channels, "kernel_size": 3}, {"name": "relu", "op": "relu"}]
    return {"name": title, "input_shape": [1, 8, 9], "layers": layers}


@pytest.fixture(scope="module")
def analysis():
    return fastrf.analyze(small())


def told(*arguments):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as stop:
        main([*map(str, arguments)])
    return stop.value.code


def test_modules_become_one_scope_in_an_order_in_which_all_is_there():
    texts = {
        "app.js": 'import {b} from "./lib/b.js";\nb();\n',
        "lib/a.js": "export const a = 1;\n",
        "lib/b.js": 'import {\n  a,\n} from "./a.js";\nexport async function b() { return a; }\n',
        "alone.js": 'import {a} from "./lib/a.js";\nexport class C {}\n',
    }
    text = page.joined(texts)
    assert "import" not in text
    assert "export" not in text
    assert text.index("const a") < text.index("function b") < text.index("b();")
    assert text.rstrip().endswith("b();")
    with pytest.raises(AssertionError, match=r"x\.js imports y\.js, which is not there"):
        page.joined({"x.js": 'import {y} from "./y.js";\n'})
    with pytest.raises(AssertionError, match="import each other"):
        page.joined({"x.js": 'import {y} from "./y.js";\n', "y.js": 'import {x} from "./x.js";\n'})


def test_names_of_all_modules_differ():
    names = []
    for text in page.modules().values():
        names += re.findall(r"^(?:export )?(?:async )?(?:function\*?|class|const|let) ([\w$]+)", text, re.MULTILINE)
        for names_of in re.findall(r"^(?:export )?(?:const|let) [{\[]([^=]*)[}\]] =", text, re.MULTILINE):
            names += re.findall(r"[\w$]+", names_of)
    assert sorted(names) == sorted(set(names))


def test_every_import_is_one_that_is_taken_out():
    for name, text in page.modules().items():
        left = page._EXPORT.sub("", page._IMPORT.sub("", text))
        assert not re.search(r"^(import|export)\b|\bimport\(|\bexport default\b", left, re.MULTILINE), name
        for names, path in page._IMPORT.findall(text):
            exported = page.modules()[page._target(name, path)]
            for one in filter(None, map(str.strip, names.split(","))):
                assert re.search(
                    rf"^export (async )?(function\*?|class|const|let) {re.escape(one)}\b", exported, re.M
                ), one


def test_the_policy_names_what_the_page_holds(analysis):
    text = fastrf.explore(analysis).text
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert "default-src 'none'" in policy
    assert "base-uri 'none'; form-action 'none'" in policy
    assert "unsafe" not in policy
    for tag, rule in (("style", "style-src"), ('script type="module"', "script-src")):
        body = re.search(rf"<{tag}>(.*?)</{tag.split()[0]}>", text, re.DOTALL)[1]
        assert f"{rule} 'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" in policy
    assert not re.search(r"(?:src|href)=.https?:|@import|url\((?!#)", text)


def test_names_of_strangers_stay_text(tmp_path):
    found = fastrf.analyze(small(HOSTILE, HOSTILE))
    text = fastrf.explore(found, title=HOSTILE).text
    plain = fastrf.explore(fastrf.analyze(small())).text
    tags = re.compile(r"<[/!a-zA-Z][^>\s]*")
    assert tags.findall(text) == tags.findall(plain)
    assert html.unescape(re.search(r"<title>([^<]*)</title>", text)[1]) == HOSTILE
    document = header(text)
    assert document["title"] == HOSTILE
    assert document["models"][0]["nodes"][1]["name"] == HOSTILE
    frame = fastrf.explore(found, title=HOSTILE)._repr_html_()
    assert tags.findall(frame) == ["<iframe", "</iframe"]
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', frame)[1]) == text


def test_what_the_document_says_of_nodes():
    found = header(encoded([fastrf.analyze("resnet50", (3, 64, 64))]))
    (model,) = found["models"]
    assert (found["format"], found["title"], model["wrt"]) == ("fastrf explorer 1", "resnet50", "input")
    assert model["total"]["layers"] == len(model["nodes"]) - 1
    assert model["nodes"][0] | {"field": 0, "figures": 0} == {
        **{"name": "input", "op": "input", "module": "", "path": ["input"], "inputs": [], "shape": [3, 64, 64]},
        **{"channelAxis": 0, "positionShape": [64, 64], "exact": True, "approximateAt": [], "assumes": []},
        **{"figures": 0, "field": 0},
    }
    last = model["nodes"][model["outputs"][0]]
    assert last["positionShape"] == []
    conv = next(node for node in model["nodes"] if node["name"] == "layer1.0.conv1")
    assert conv["path"] == ["layer1", "0", "conv1"]
    assert conv["figures"]["size"] == [11, 11]
    assert model["nodes"][conv["inputs"][0]]["op"] == "max_pool"


def test_numbers_without_end_and_unknown_ones_are_told():
    layers = [fastrf.conv(2, 3), fastrf.global_avg_pool()]
    figures = header(encoded([fastrf.analyze(layers, (1, 8, 8))]))["models"][0]["nodes"][-1]["figures"]
    assert figures["size"] == ["Infinity", "Infinity"]
    assert figures["start"] == ["NaN", "NaN"]


def test_targets_have_a_field_and_the_others_none():
    some = header(encoded([fastrf.analyze(small(), targets=["relu"])]))["models"][0]["nodes"]
    assert [node["field"] is not None for node in some] == [False, False, True]
    assert (some[1]["exact"], some[1]["figures"]["size"], some[1]["figures"]["parameters"]) == (None, [], 20)


def test_two_networks_differences_first():
    old = fastrf.analyze({**small(), "name": "old"})
    new = {**small(channels=3), "name": "new"}
    new["layers"][0]["kernel_size"] = 5
    found = header(fastrf.explore(fastrf.analyze(new), against=old).text)
    assert found["title"] == "old -> new"
    assert [model["name"] for model in found["models"]] == ["old", "new"]
    with pytest.raises(fastrf.UsageError, match=r"new: .* analyse it without targets"):
        fastrf.explore(fastrf.analyze(new, targets=["relu"]), against=old)
    kinds = [(change["kind"], change["old"], change["new"]) for change in found["changes"]]
    assert kinds == [("changed", 1, 1), ("inherited", 2, 2)]
    assert "size 3 -> 5" in found["changes"][0]["told"]


def test_added_removed_and_renamed():
    old, new = small(), small()
    old["layers"].append({"name": "gone", "op": "max_pool", "kernel_size": 2})
    new["layers"][0]["name"] = "first"
    found = header(fastrf.explore(fastrf.analyze(new), against=fastrf.analyze(old)).text)["changes"]
    assert {(one["kind"], one["old"], one["new"]) for one in found} == {("removed", 3, None), ("renamed", 1, 1)}


def test_reports_are_files_of_their_own(analysis, tmp_path, capsys):
    path, seen = tmp_path / "report.html", []
    fastrf.report(analysis, path, title="mine", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert header(path.read_text())["title"] == "mine"
    with pytest.raises(fastrf.FormatError, match=r"report\.pdf: ending '\.pdf' is unknown for a page; use \.html"):
        fastrf.report(analysis, tmp_path / "report.pdf")
    for wrong in (analysis.summary(), analysis.network, analysis.output, None):
        with pytest.raises(fastrf.UsageError, match=r"a page is made of what fastrf\.analyze gives, not of a"):
            fastrf.report(wrong, path)
    with pytest.raises(fastrf.UsageError, match="height must be"):
        fastrf.explore(analysis, height=10)
    assert "a notebook shows it" in repr(fastrf.explore(analysis))
    assert 'sandbox="allow-scripts allow-downloads"' in fastrf.explore(analysis, height=300)._repr_html_()


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, kernel in (("net.json", 3), ("other.json", 5)):
        spec = small()
        spec["layers"][0]["kernel_size"] = kernel
        (tmp_path / name).write_text(json.dumps(spec))
    assert told("report", "net.json") == 0
    assert "wrote net.html" in capsys.readouterr().err
    assert told("report", "net.json", "other.json", "--title", "both") == 0
    assert header((tmp_path / "net-other.html").read_text())["title"] == "both"
    assert told("report", "net.json") == 2
    assert "net.html exists; --overwrite replaces it" in capsys.readouterr().err
    assert told("report", "net.json", "-o", "net.pdf") == 2
    assert told("report", "net.json", "none.json", "--overwrite") == 2
    assert "none.json" in capsys.readouterr().err
    assert told("report", "net.json", "--overwrite", "--image", "none.png") == 2
    assert "none.png" in capsys.readouterr().err
