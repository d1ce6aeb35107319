"""Rules: what may be written, what each figure is, and that what is wrong is told in one line with what to write."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest

import fastrf
from fastrf import FastRFError, FormatError, UnknownNodeError, UsageError
from fastrf.checks.figures import FIGURES
from fastrf.checks.rules import Operand, parsed, read_rules

LAYERS = [
    fastrf.conv(4, 3, padding=1, name="stem.a"),
    fastrf.max_pool(2, name="stem.b"),
    fastrf.conv(4, (3, 5), padding=(2, 2), dilation=(2, 1), stride=(1, 2), name="body.c"),
    fastrf.conv_transpose(2, 3, stride=2, name="up"),
    fastrf.global_avg_pool(name="d"),
]


@pytest.fixture(scope="module")
def analysis():
    return fastrf.analyze(LAYERS, (2, 12, 9))


# Grammar --------------------------------------------------------------------------------------------------------------

WRITTEN = {
    "layer4.size >= 224": (Operand("layer4", "size"), ">=", 224, 1),
    "head.p3.blind==0": (Operand("head.p3", "blind"), "==", 0, 1),
    " a.size[0]<-1.5e2 ": (Operand("a", "size", 0), "<", -150.0, 1),
    "a.size[-1] != inf": (Operand("a", "size", -1), "!=", math.inf, 1),
    "a.exact == TRUE": (Operand("a", "exact"), "==", True, 1),
    "backbone.*.exact == false": (Operand("backbone.*", "exact"), "==", False, 1),
    "lstm[0].size > 25_000": (Operand("lstm[0]", "size"), ">", 25_000, 1),
    "/layer1/Conv@2~1.size > +7": (Operand("/layer1/Conv@2~1", "size"), ">", 7, 1),
    "'a == b (c)'.size > .5": (Operand("a == b (c)", "size", literal=True), ">", 0.5, 1),
    '"a.*.size".size[1] > 0': (Operand("a.*.size", "size", 1, literal=True), ">", 0, 1),
    "a.shape == (64, 56, 56)": (Operand("a", "shape"), "==", (64, 56, 56), 1),
    "a.size<=(3,)": (Operand("a", "size"), "<=", (3,), 1),
    "a.size <= b.stride * 4": (Operand("a", "size"), "<=", Operand("b", "stride"), 4),
    "a.size <= 'b c'.stride[0]": (Operand("a", "size"), "<=", Operand("b c", "stride", 0, literal=True), 1),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_rules_are_read(text):
    rule = parsed(text)
    assert (rule.left, rule.op, rule.right, rule.factor) == WRITTEN[text]
    assert type(rule.right) is type(WRITTEN[text][2])
    assert rule.text == text.strip()


WRONG = {
    "": "not a text",
    "a.size" + " " * 3000 + ">= 1": "not a text",
    "a.size": "no comparison",
    "a >= 3": "write one, such as a.size",
    "'a' >= 3": "write one, such as 'a'.size",
    "'a'b.size >= 3": "write a figure, such as 'a'.size",
    "'a >= 3": "cannot stand there",
    "a.size = 3": "compare with == or !=",
    "a.size =! 3": "compare with == or !=",
    "a.size => 3": "compare with == or !=",
    "a.size >= ": "nothing stands after",
    ">= 3": "nothing stands before",
    "3 <= a.size": "the figure stands first",
    "1 <= a.size <= 3": "the figure stands first",
    "a.size <= 3 <= 4": "two rules",
    "a.size >= 3 4": "'4' is left over",
    "a.size >= b.size * c": "'c' is no value",
    "a.size >= b.size * ": "a number is missing",
    "a.size >= 3 * 4": "left over",
    "a.size >= nan": "nothing compares with nan",
    "a.size >= 1e999": "write inf",
    "a.size >= 1" + "0" * 1000: "write inf",
    "a.size >= (1, 2": "not closed",
    "a.size >= (1 2)": "not closed",
    "a.size >= ()": "a number is missing",
    "a.size >= (1, x)": "'x' is no value",
    "a.size >= word": "'word' is no value",
    "a.size >= 1__2..": "is left over|no value|names no figure",
    "a.size[x] >= 3": r"\[x\] is no axis",
    "a.size[99999] >= 3": "no axis",
    "a.sise >= 3": "did you mean size",
    "__import__('os').system >= 3": "cannot|comparison|names no figure|left over",
    "d.nothing_like_it >= 3": "there are shape, size",
}


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_no_rule_is_told_with_its_remedy(text, analysis):
    with pytest.raises(UsageError, match=WRONG[text]) as error:
        fastrf.check(analysis, text)
    assert str(error.value).startswith("rule ")
    assert len(str(error.value)) < 1000
    assert str(error.value).isprintable()


def test_random_texts_are_read_or_refused(rng):
    parts = [
        "a",
        ".",
        "size",
        "[0]",
        " ",
        ">=",
        "==",
        "=",
        "*",
        "(",
        ")",
        ",",
        "3",
        "inf",
        "nan",
        "'",
        '"',
        "\x1b",
        "é",
        "b.stride",
    ]
    for _ in range(2000):
        text = "".join(rng.choice(parts, rng.integers(1, 9)))
        with contextlib.suppress(UsageError):
            parsed(text)


def test_patterns_with_many_stars_take_no_time(analysis):
    with pytest.raises(UsageError, match="no node is like"):
        fastrf.check(analysis, "*a" * 400 + ".size == 1")


# Figures --------------------------------------------------------------------------------------------------------------


def value(analysis, text):
    (outcome,) = fastrf.check(
        analysis, f"{text} != (9999, 9999, 9999)" if text.endswith("shape") else f"{text} != 9999"
    ).outcomes
    return outcome.value


def test_figures_are_what_the_field_says(analysis):
    for node in ("stem.a", "body.c", "up"):
        field = analysis[node]
        masks = field.masks()
        areas = masks.reshape(len(masks), -1).sum(1)
        halo = field.halo()
        same = ("shape", "size", "stride", "start", "center", "padding")
        expected = {name: getattr(field, name) for name in same} | {
            "size_min": tuple(low for low, _ in field.size_range),
            "area_min": areas.min(),
            "area_mean": pytest.approx(areas.mean()),
            "area_max": areas.max(),
            "density": pytest.approx(field.densities().mean()),
            "clipped": field.clipped().mean(),
            "blind": (~masks.any(0)).sum(),
            "exact": True,
            "approximate_at": 0,
            "assumes": 0,
            "halo_before": halo.before,
            "halo_after": halo.after,
            "halo": tuple(map(max, halo.before, halo.after)),
            "period": halo.period,
        }
        found = {name: value(analysis, f"{node}.{name}") if name != "exact" else True for name in expected}
        assert found == expected
    assert value(analysis, "up.size") == (analysis["up"].size)


def test_centres_against_a_grid(analysis):
    for node in ("stem.a", "body.c", "up"):
        field = analysis[node]
        n = 2 if node == "up" else 1
        for axis in range(2):
            bounds = [field.phases(axis)[k % len(field.phases(axis))] for k in range(n)]
            middle = np.array([bound.mean() for bound in bounds])
            for name, shift in (("offset", 0.5), ("offset_corner", 0)):
                grid = (np.arange(n) + shift) * field.stride[axis]
                assert value(analysis, f"{node}.{name}[{axis}]") == pytest.approx(abs(middle - grid).max())


def test_sequences_are_asked_along_an_axis():
    causal = fastrf.analyze([fastrf.conv(2, 3, padding=1, name="a")], (1, 20))
    assert fastrf.check(causal, ["a.lookback == 1", "a.lookahead[0] == 1", "a.is_causal == false"])


def test_costs_of_layers_modules_and_networks(analysis):
    expected = {"stem.a": 4 * 2 * 9 + 4, "stem": 4 * 2 * 9 + 4, "up": 4 * 2 * 9 + 2}
    for name, parameters in expected.items():
        assert value(analysis, f"{name}.parameters") == parameters
    total = sum(node.macs for node in analysis.network.nodes)
    assert value(analysis, "network.macs") == total


def test_every_figure_is_asked_or_refused_in_words(analysis):
    for name in FIGURES:
        for subject in ("stem.a", "d", "network", "anchors", "output"):
            truth = "true" if name in ("exact", "is_causal") else 1
            with contextlib.suppress(UsageError):
                assert fastrf.check(analysis, f"{subject}.{name} == {truth}").outcomes


REFUSED = {
    "stem.a.size >= (1, 2, 3)": "has 2 axes, and is compared with 3",
    "stem.a.blind == (1, 2)": "has one value",
    "stem.a.size >= true": "true or false, the other a number",
    "stem.a.exact < true": "compare it by == or !=",
    "stem.a.exact == 1": "true or false, the other a number",
    "stem.a.exact[0] == true": r"leave \[0\] out",
    "stem.a.size[2] >= 1": "has axes 0 to 1",
    "stem.a.size >= up.exact * 2": "cannot be multiplied",
    "stem.a.size >= *.size": "compare with a figure of one",
    "nothing.*.size >= 1": "no node is like 'nothing",
    "network.size >= 1": "'network' is no node",
    "up.bpr > 0.9": "--anchors and --levels",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_a_field_has_not_is_told(text, analysis):
    with pytest.raises(UsageError, match=REFUSED[text]):
        fastrf.check(analysis, text)


def test_names_that_no_node_has_are_told_with_those_like_them(analysis):
    with pytest.raises(UnknownNodeError, match=r"rule 'stem.x.size == 1': .*stem.a"):
        fastrf.check(analysis, "stem.x.size == 1")
    # a node without positions has no halo
    flat = fastrf.analyze([*LAYERS, fastrf.flatten(name="flat")], (2, 12, 9))
    with pytest.raises(UsageError, match=r"'flat' has no halo: .* no positions"):
        fastrf.check(flat, "flat.halo <= 3")


# What holds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("stem.a.size == 3", True),
        ("body.c.size == 3", False),
        ("body.c.size == (12, 12)", True),
        ("body.c.stride == (2, 4)", True),
        ("body.c.stride != (2, 2)", True),
        ("body.c.stride != (2, 4)", False),
        ("body.c.stride != 2", False),
        ("body.c.stride < (3, 5)", True),
        ("body.c.stride >= stem.b.stride", True),
        ("body.c.stride <= stem.b.stride * 2", True),
        ("body.c.stride > stem.b.blind", True),
        ("stem.a.exact == stem.b.exact", True),
        ("stem.a.exact != true", False),
        ("d.size == inf", True),
        ("d.size < inf", False),
        ("d.size >= 224", True),
        ("output.area_min == 108", True),
        ("*.exact == true", True),
        ("stem.*.stride == 1", False),
        ("stem.?.stride <= 2", True),
    ],
)
def test_what_holds(text, holds, analysis):
    assert bool(fastrf.check(analysis, text)) is holds


def test_what_is_not_known_fails_whatever_is_asked(analysis):
    for op in ("==", "!=", "<", ">"):
        result = fastrf.check(analysis, f"d.start {op} 3")
        assert not result
        assert "not known" in result.outcomes[0].message
    assert not fastrf.check(analysis, "stem.a.start < d.start")


def test_numbers_that_are_not_whole_agree_to_nine_digits(analysis):
    mean = float(analysis["stem.a"].areas().mean())
    assert fastrf.check(analysis, [f"stem.a.area_mean == {mean:.11g}", f"stem.a.area_mean <= {mean:.11g}"])
    assert not fastrf.check(analysis, f"stem.a.area_mean == {mean + 1e-5}")


def test_of_a_pattern_what_passes_is_one(analysis):
    found = fastrf.check(analysis, "*.stride[0] <= 1").outcomes
    assert [(one.node, one.passed, one.about) for one in found] == [
        ("stem.b", False, ""),
        ("body.c", False, ""),
        ("d", False, ""),
        ("*", True, "2 nodes"),
    ]


# Files ----------------------------------------------------------------------------------------------------------------

TOML = """
rules = [
  "stem.a.size == 3",
  { rule = "d.size == 7", why = "the largest objects" },
]
"""


def test_rules_of_a_file_say_where_they_stand(tmp_path, analysis):
    path = tmp_path / "rules.toml"
    path.write_text(TOML)
    result = fastrf.check(analysis, path)
    assert [(one.rule, one.passed, one.line, one.why) for one in result.outcomes] == [
        ("stem.a.size == 3", True, 3, ""),
        ("d.size == 7", False, 4, "the largest objects"),
    ]
    assert {one.file for one in result.outcomes} == {str(path)}
    assert fastrf.check(analysis, str(path)).outcomes == result.outcomes
    assert "the largest objects" in str(result)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", None),
        ("rule = []", "unknown key 'rule'; did you mean rules"),
        ("rules = 3", "'rules' must be a list"),
        ("rules = [3]", "not a text"),
        ("rules = [{rule = 'a.size == 3', whi = ''}]", "unknown key 'whi'; did you mean why"),
        ("rules = [{rule = 'a.size == 3', why = 3}]", "'why' of a rule must be a text"),
        ("rules = ['a.size = 3']", "compare with =="),
        ("anchors = 3", "'anchors' must be a table"),
        ("[anchors]\nlevel = []", "unknown key 'level'; did you mean levels"),
        ("[anchors]\nlevels = 'P3'", "'levels' must be a list"),
        ("[anchors]\nthreshold = 'x'", "'threshold' must be a number"),
        ("[boxes]\nfiles = 'x'", "unknown key 'files'; did you mean file"),
        ("a = " + "[" * 300 + "]" * 300, "nested|not TOML|unknown key"),
        ("a.b.c.d.e.f.g.h.i.j = 1", "parts"),
        ("[boxes]\nfile = '" + "x" * 5000 + "'", None),
        ("[anchors]\nanchors = 'x\\u0000'".replace("'", '"'), None),
        ("x", "not TOML"),
    ],
)
def test_files_that_are_none_are_told_with_their_name(text, said, tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(text)
    if said is None:
        assert read_rules(path).rules == ()
        return
    with pytest.raises(FastRFError, match=said) as error:
        read_rules(path)
    assert str(path) in str(error.value)


def test_rules_are_texts_mappings_or_paths(analysis, tmp_path):
    assert fastrf.check(analysis, {"rules": ["d.size == inf"]})
    for wrong in (3, [3], None):
        with pytest.raises(UsageError):
            fastrf.check(analysis, wrong)
    with pytest.raises(UsageError, match="nothing to check"):
        fastrf.check(analysis, [])
    with pytest.raises(FormatError, match="check the path"):
        fastrf.check(analysis, tmp_path / "none.toml")


def test_anchors_on_boxes():
    detector = fastrf.analyze("s3fd", (3, 320, 320))
    levels = list(detector.network.outputs)
    boxes = np.array([[10, 10, 30, 40], [5, 5, 205, 185], [60, 40, 90, 90]])
    report = fastrf.anchors.report(detector, levels, "s3fd", boxes, effective=False)
    told = {"anchors": {"anchors": "s3fd", "levels": levels}, "boxes": {"file": boxes}}
    names = {"anchors.bpr": report.overall["bpr"], "anchors.unseen": report.overall["unseen"]}
    names |= {f"{levels[1]}.aat": report.levels[1].aat, f"{levels[1]}.bpr": report.levels[1].bpr}
    names |= {f"{levels[4]}.anchor_offset": max(abs(v) for v in report.levels[4].offset[0])}
    for name, expected in names.items():
        assert fastrf.check(detector, told | {"rules": [f"{name} == {expected!r}"]})
    upper = {
        "rules": [f"{levels[1].upper()}.bpr > 0"],
        "anchors": {"anchors": "s3fd", "levels": [x.upper() for x in levels]},
    }
    assert fastrf.check(detector, told | upper)
    with pytest.raises(UsageError, match="no level of the anchors"):
        fastrf.check(detector, told | {"rules": ["input.bpr == 1"]})
    with pytest.raises(UsageError, match="--boxes"):
        fastrf.check(detector, {"rules": ["anchors.bpr > 0"], "anchors": told["anchors"]})
