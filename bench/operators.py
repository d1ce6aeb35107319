"""Which ONNX operators are exact: `python -m bench.operators` compares them all and writes docs/operators.md.

Every model of the onnx package's backend tests, function bodies included, is analysed and compared with perturbation
(see `tests.onnx_oracle`): every element of every input is changed in turn, and what changes the outputs is what they
depend on.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from pathlib import Path

import onnx
from rich.progress import track

import fastrf
from fastrf.frontends.onnx.registry import RULES
from tests.onnx_oracle.cases import Case, cases, skipped
from tests.onnx_oracle.perturbation import Unsuitable, quiet
from tests.test_onnx_operators import differences

__all__ = ["main"]

PAGE = Path(__file__).parent.parent / "docs/operators.md"

HEAD = """# Operators

## ONNX

Written by `python -m bench.operators`. Opsets 7 to {opset} (older ones broadcast as their time did). Each operator's
models in the onnx package are analysed and compared with perturbation of every input element.

- **exact**: the dependency is exactly what changes the output.
- **approximate**: reads that data decides are taken for the whole axis, or the whole input; such nodes are listed in
  `approximate_at`.
  Gather, GatherElements, GatherND, ScatterElements, ScatterND and ReverseSequence are exact for constant indices, as
  compared here; computed ones may name any place of the axes that they run along.
- **by function**: no rule of its own; the operator is followed through the function that the standard defines it by.
- **unsupported**: raises UnsupportedOpError, unless `on_unsupported="full"` over-approximates it.

{exact} exact, {approximate} approximate, {unsupported} unsupported; {models} models compared, {different} different.

| operator | how | models compared | different | not comparable |
|---|---|--:|--:|--:|
"""

TAIL = """
Models are not comparable where they are random, hold text or sequences, have an output whose size depends on values, or
take data that perturbation cannot change. Operators of other domains than the standard's are unsupported, but for
`com.microsoft`: {microsoft}.

## PyTorch

ATen operators are lowered by rules in `fastrf/frontends/torch`; those without a rule are taken apart by PyTorch's own
decompositions first. [models.md](models.md) lists the models compared.
"""


def compared(smoke: bool) -> dict[str, list[str]]:
    """By operator, the outcome of each of its models: equal, different, inexact, unsupported or not comparable."""
    with quiet():
        every = list(cases(largest=30 if smoke else 4_000))
    outcomes: dict[str, list[str]] = defaultdict(list)
    for case in track(every, "comparing"):
        outcomes[_operator(case)].append(_outcome(case))
    return outcomes


def _operator(case: Case) -> str:
    """The operator of a model; of a function's body, the operator that it defines."""
    name = str(case.model.graph.node[0].op_type)
    return f"{name} (body)" if "_expanded" in case.name else name


def _outcome(case: Case) -> str:
    try:
        with quiet():
            inexact = any(node.recipe.approximate for node in fastrf.load(case.bound_model).nodes)
        found = differences(case)
    except Unsuitable:
        return "not comparable"
    except fastrf.UnsupportedOpError:
        return "unsupported"
    return "different" if found else "inexact" if inexact else "equal"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="the smallest models only, and nothing written")
    smoke = parser.parse_args().smoke
    warnings.simplefilter("ignore")
    outcomes = compared(smoke)
    bodies = [one for name, several in outcomes.items() if name.endswith("(body)") for one in several]
    lines, counts = [], defaultdict(int)
    known = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}
    for name in sorted(known | {name for name in outcomes if not name.endswith("(body)")}):
        several = outcomes.get(name, [])
        done = [one for one in several if one in ("equal", "inexact", "different")]
        function = ("", name) not in RULES
        if not done and name in WITHOUT_DATA:
            how = "exact, depends on no data"
        elif ("", name) in RULES or (done and function):
            how = "approximate" if "inexact" in done or name in DATA_DECIDES else "exact"
            if name in WEIGHTS_DECIDE:
                how = f"exact, approximate where {WEIGHTS_DECIDE[name]}"
            how += " (by function)" if function else ""
        else:
            how = "unsupported"
        counts[how.split(" ")[0].rstrip(",")] += 1
        different = several.count("different")
        lines.append(f"| {name} | {how} | {len(done)} | {different} | {len(several) - len(done)} |")
    everything = [one for name, several in outcomes.items() for one in several]
    text = HEAD.format(
        opset=onnx.defs.onnx_opset_version(),
        models=sum(one in ("equal", "inexact", "different") for one in everything),
        different=everything.count("different"),
        **{key: counts[key] for key in ("exact", "approximate", "unsupported")},
    )
    microsoft = ", ".join(sorted(f"`{name}`" for domain, name in RULES if domain == "com.microsoft"))
    print(text.rpartition("\n| operator")[0].rpartition("\n\n")[2])
    print(f"{len(bodies)} of the models are bodies of functions; {len(skipped())} models have no data to change")
    if not smoke:
        PAGE.write_text(text + "\n".join(lines) + "\n" + TAIL.format(microsoft=microsoft))


#: What makes tensors out of nothing, or looks at shapes alone.
WITHOUT_DATA = frozenset(
    (
        *("BlackmanWindow", "Constant", "ConstantOfShape", "EyeLike", "HammingWindow", "HannWindow", "MelWeightMatrix"),
        *("Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Range", "Shape"),
        "Size",
    )
)
#: What is approximate in one form only, which the onnx package's models show.
WEIGHTS_DECIDE = {
    **dict.fromkeys(("ConvTranspose", "LSTM", "GRU", "RNN"), "its weights depend on the input"),
    "CausalConvWithState": "its weights depend on the input",
    "BatchNormalization": "it gives statistics in training",
    "Pad": "its value depends on the input",
}
#: What reads data-dependent places, though no model shows it.
DATA_DECIDES = frozenset(
    ("NonMaxSuppression", "MaxRoiPool", "RoiAlign", "DeformConv", "GridSample", "MaxUnpool", "TopK")
)


if __name__ == "__main__":
    main()
