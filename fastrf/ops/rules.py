"""Rules of users: what operators that fastrf does not know, or knows too roughly, do to the axes of tensors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fastrf.engine.recipe import Recipe, Step, Tensor, record
from fastrf.errors import FastRFError, NetworkError, UsageError
from fastrf.ops.registry import OPERATORS, Attributes, Cost, FanIn, Operator, Paths, Shape, check_count, one, unknown
from fastrf.system.locks import cached_property

__all__ = ["MODULES", "RULES", "Rule", "load_packages", "rule", "rule_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

#: Users' rules by name, which come before fastrf's own, and by class of modules.
RULES: dict[str, Rule] = {}
MODULES: dict[type, Rule] = {}

#: Attributes of layers that stand for foreign operators: which result it is, which inputs have a batch in front.
RESULT, FOLDED = "result", "folded"
#: What layers, and those that make them, call their own.
_TAKEN = (RESULT, FOLDED, "name", "op", "inputs", "scope", "assumes", "parameters", "full")


@dataclass(frozen=True, eq=False)
class Rule(Operator):
    """A user's operator: parameters that no attribute is given for take the inputs, in order.

    `batch` says whether the first axis of tensors is a batch also where it is not 1; None refuses to guess.
    """

    batch: bool | None = None

    @cached_property
    def accepted(self) -> tuple[str, ...]:
        """What may be given by name."""
        return tuple(p.name for p in self.parameters if p.kind is not p.VAR_POSITIONAL)

    def recipe(self, attributes: Attributes, shapes: Sequence[Shape], channel_axes: Sequence[int | None]) -> Recipe:
        """What the operator does, or one of its results; with a batch in front, to each part of it alike."""
        number, folded = attributes.get(RESULT, 0), attributes.get(FOLDED, (False,) * len(shapes))
        made, notes = self._called(attributes, shapes, channel_axes, folded)
        results = made if isinstance(made, list | tuple) else [made]
        if number >= len(results) or (RESULT not in attributes and len(results) > 1):
            raise NetworkError(f"its rule returns {len(results)} tensors; say which one by {RESULT}=0, 1 ...")
        recipe = notes.finish(results[number])
        sizes = [shape[0] for shape, f in zip(shapes, folded, strict=True) if f]
        return _lifted(recipe, sizes[0], folded) if sizes else recipe

    def returned(self, attributes: Attributes, shapes: Sequence[Shape]) -> int | None:
        """How many tensors the operator returns in a list; None for a tensor by itself."""
        folded = attributes.get(FOLDED, (False,) * len(shapes))
        made, _ = self._called(attributes, shapes, [None] * len(shapes), folded)
        return len(made) if isinstance(made, list | tuple) else None

    def _called(
        self,
        attributes: Attributes,
        shapes: Sequence[Shape],
        channel_axes: Sequence[int | None],
        folded: Sequence[bool],
    ) -> tuple[Any, Any]:
        """What the function returns, and the steps to it."""
        given = {key: value for key, value in attributes.items() if key not in (RESULT, FOLDED)}
        self.check(given)
        free = [p for p in self.inputs if p.name not in given]
        n_ary = self.max_inputs is None
        check_count(len(shapes), sum(p.default is p.empty for p in free), None if n_ary else len(free))
        inner = [shape[1:] if f else shape for shape, f in zip(shapes, folded, strict=True)]
        axes = [axis - 1 if f and axis else None if f else axis for axis, f in zip(channel_axes, folded, strict=True)]
        tensors, notes = record(inner, axes)
        given.update(zip((p.name for p in free), tensors, strict=False))
        first = [given.pop(p.name) for p in self.inputs] if len(tensors) > len(free) else []
        try:
            made = self.function(*first, *tensors[len(free) :], **given)
        except FastRFError:
            raise
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise NetworkError(f"its rule fails for shapes {', '.join(map(str, inner))} ({said})") from error
        if not all(isinstance(result, Tensor) for result in (made if isinstance(made, list | tuple) else [made])):
            raise NetworkError(f"its rule returns {type(made).__name__}, not the tensors that the operator makes")
        return made, notes


def _lifted(recipe: Recipe, batch: int, folded: Sequence[bool]) -> Recipe:
    """A recipe of tensors without a batch for those that have one in front; the others are the same for all of it."""
    n = recipe.n_inputs
    whole = [k for k in range(n) if not folded[k]]
    wide = [Step("insert", (0, batch), (k,)) for k in whole]
    place = [n + whole.index(k) if k in whole else k for k in range(n)]
    place += [n + len(wide) + k for k in range(len(recipe.steps))]
    steps = [
        Step(step.kind, _behind_batch(step, batch), tuple(place[source] for source in step.inputs))
        for step in recipe.steps
    ]
    channel = None if recipe.channel_axis is None else recipe.channel_axis + 1
    shape = (batch, *recipe.shape)
    return Recipe(n, (*wide, *steps), place[recipe.result], shape, channel, recipe.approximate)


def _behind_batch(step: Step, batch: int) -> tuple[object, ...]:
    """Arguments of a step one axis further back."""
    if step.kind in ("union", "nothing", "along"):
        return step.arguments
    first: Any = step.arguments[0]
    if step.kind == "reshape":
        return ((batch, *first),)
    if step.kind == "permute":
        return ((0, *(axis + 1 for axis in first)),)
    return (first + 1, *step.arguments[1:])


def rule(
    *operators: str | type,
    batch: bool | None = None,
    paths: Paths = "data",
    cost: Cost = unknown,
    fan_in: FanIn = one,
    channel_axis: int | str | None = None,
) -> Callable[[Function], Function]:
    """Say what an operator reads; a user's rule comes before fastrf's own.

    `operators` are ATen names ("my_ext::window_mix"), "domain::Op" of ONNX, `torch.nn.Module` classes, each call of
    which becomes one node, and names of operators of specs. The function gets a symbolic tensor, without the batch, for
    every tensor that the operator takes, and plain attributes; it returns a tensor or several. A tensor that the input
    does not reach, such as a weight, is whole and depends on nothing; a parameter after the star gets its values
    instead, as nested lists. `batch=True` says that the first axis of tensors is a batch of any size, False that they
    have none; otherwise a first axis that is not 1 is an error. `paths`, `cost`, `fan_in` and `channel_axis` are facts
    of `fastrf.ops.Operator`. See docs/rules.md. Raises UsageError.
    """
    if not operators:
        raise UsageError('a rule needs the name of an operator, such as fastrf.rule("my_ext::window_mix")')

    def register(function: Function) -> Function:
        for known in operators:
            name = known if isinstance(known, str) else f"{known.__module__}.{known.__qualname__}"
            made = Rule(name, function, paths, cost, fan_in, channel_axis, batch=batch)
            taken = [p for p in made.accepted if p in _TAKEN]
            if taken:
                raise UsageError(f"rule for {name}: a parameter may not be called {taken[0]!r}; rename it")
            RULES[name] = made
            if isinstance(known, type):
                MODULES[known] = made
        return function

    return register


def rule_of(name: str) -> Rule | None:
    """The user's rule for an operator, packages' rules included."""
    load_packages()
    return RULES.get(name)


@functools.cache
def load_packages() -> None:
    """Load the rules of installed packages, which come after those of users. Raises FastRFError naming the package."""
    from importlib.metadata import entry_points

    own, modules = dict(RULES), dict(MODULES)
    for entry in entry_points(group="fastrf.rules"):
        package = entry.dist.name if entry.dist else entry.name
        try:
            entry.load()
        except Exception as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())[:160]
            raise FastRFError(
                f"rules of package {package!r} cannot be loaded ({said}); update it or remove it"
            ) from error
        replaced = [name for name in RULES if name in OPERATORS and name not in own]
        if replaced:
            raise FastRFError(f"package {package!r} replaces operator {replaced[0]!r}, which only users may; remove it")
    RULES.update(own)
    MODULES.update(modules)
