"""`.pt2` files: what a program needs is read, and nothing in a file runs, whichever part of it tries."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

import fastrf

torch = pytest.importorskip("torch")


class Masked(torch.nn.Module):
    """A convolution, a table of indices, and a mask that leaves out the last step."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv1d(2, 2, 3)
        self.register_buffer("order", torch.tensor([3, 1, 0, 2]), persistent=False)
        self.register_buffer("mask", torch.tensor([0.0, 0.0, 0.0, -torch.inf]))

    def forward(self, x):
        scores = self.conv(x)[:, :, self.order] + self.mask
        return torch.softmax(scores, -1) @ self.conv(x).transpose(1, 2)


#: Members that PyTorch before 2.8 names differently.
PROGRAM = ("models/model.json", "serialized_exported_program.json")
SAMPLES = ("sample_inputs/model.pt", "serialized_example_inputs.pt")


@pytest.fixture(scope="module")
def exported():
    return torch.export.export(Masked().eval(), (torch.zeros(1, 2, 6),))


@pytest.fixture
def good(exported, tmp_path):
    torch.export.save(exported, tmp_path / "good.pt2")
    return tmp_path / "good.pt2"


@pytest.fixture
def tabled(good):
    """The same, where PyTorch writes tables of tensors, and every tensor apart."""
    with zipfile.ZipFile(good) as archive:
        if not any(name.endswith("_config.json") for name in archive.namelist()):
            pytest.skip("this PyTorch writes all tensors into one pickle")
    return good


class Payload:
    """What runs when it is unpickled."""

    def __init__(self, mark) -> None:
        self.mark = mark

    def __reduce__(self):
        return exec, (f"open({str(self.mark)!r}, 'w').write('x')",)


def pickled(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def changed(path, changes, added=None):
    """The archive with members by the end of their names changed, and others added."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    root = next(iter(members)).partition("/")[0]
    for end, change in changes.items():
        name = next(name for name in members if name.endswith(end))
        members[name] = change(members[name])
    members |= {f"{root}/{name}": data for name, data in (added or {}).items()}
    evil = path.with_name("evil.pt2")
    with zipfile.ZipFile(evil, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return evil


def program(change):
    """A change of the program's JSON."""

    def made(data):
        found = json.loads(data)
        change(found)
        return json.dumps(found).encode()

    return made


def refused(path, mark, match="could run code when it is read; where you trust its origin, .*trust=True"):
    with pytest.raises(fastrf.FormatError, match=match):
        fastrf.load(path)
    assert not mark.exists()


def test_an_ordinary_file_is_what_the_module_is(exported, good):
    module, file = fastrf.analyze(Masked(), (2, 6)), fastrf.analyze(good)
    assert [field.dependency for field in file.values()] == [field.dependency for field in module.values()]
    if any("@" in call for node in exported.graph.nodes for call in node.meta.get("nn_module_stack", ())):
        assert file["conv"].dependency == module["conv"].dependency
    else:  # this PyTorch does not tell which call of a module is which
        with pytest.raises(fastrf.UnknownNodeError, match="'conv' stands for several tensors"):
            _ = file["conv"]
    assert fastrf.load(good, trust=True) == fastrf.load(good)
    assert fastrf.load(str(good)) == fastrf.load(good)


def test_sample_inputs_are_not_read(good, tmp_path):
    mark = tmp_path / "mark"
    evil = changed(good, {SAMPLES: lambda _: pickled((Payload(mark),))})
    assert fastrf.load(evil).input_shape == (2, 6)
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["weights", "constants"])
@pytest.mark.parametrize("payload", [True, False])
def test_pickled_tensors_are_tensors_or_refused(tabled, tmp_path, kind, payload):
    mark, name = tmp_path / "mark", f"data/{kind}/{'weight' if kind == 'weights' else 'tensor'}_9"

    def use_pickle(config):
        first = next(iter(config["config"].values()))
        first["path_name"], first["use_pickle"] = name.rpartition("/")[2], True

    tensor = torch.nn.Parameter(torch.zeros(2, 2, 3)) if kind == "weights" else torch.tensor([3, 1, 0, 2])
    changes = {f"model_{kind}_config.json": program(use_pickle)}
    evil = changed(tabled, changes, {name: pickled(Payload(mark) if payload else tensor)})
    if payload:
        refused(evil, mark)
    else:
        assert fastrf.load(evil).input_shape == (2, 6)


@pytest.mark.parametrize("name", ["weights", "constants"])
def test_pickles_of_an_older_kind(good, tmp_path, name):
    mark = tmp_path / "mark"
    refused(changed(good, {}, {f"data/{name}/model.pt": pickled({"x": Payload(mark)})}), mark)
    refused(changed(good, {}, {f"data/{name}/model.pt": pickled({"x": Payload(mark)})[4:]}), mark)


@pytest.mark.parametrize("name", ["custom_obj_0", "opaque_obj_0", "../../x"])
def test_constants_that_are_no_tensors(tabled, tmp_path, name):
    def point(config):
        next(iter(config["config"].values()))["path_name"] = name

    mark = tmp_path / "mark"
    added = {f"data/constants/{name}": pickled(Payload(mark))}
    refused(changed(tabled, {"model_constants_config.json": program(point)}, added), mark)


def test_libraries_are_not_loaded(good, tmp_path):
    added = {"data/aotinductor/model/a.so": b"\x7fELF", "extra/x": b"\xff", "data/aotinductor/model/a.cpp": b""}
    assert fastrf.load(changed(good, {}, added)).input_shape == (2, 6)


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.save.default",
        "torch.ops.aten._print.default",
        "torch.ops.aten.warn.default",
        "torch.ops.higher_order.triton_kernel_wrapper_mutation",
        "torch.ops.someone.own.default",
        "_operator.pow",
        "math.factorial",
        "#extension:op",
        "torch.ops.aten.relu.default.__class__",
        "torch.ops.aten.__setattr__.__call__",
        "torch.ops.aten.name.upper",
        "torch.ops.aten.relu.overloads",
    ],
)
def test_only_operators_on_tensors_are_called(good, tmp_path, target):
    def aim(found):
        found["graph_module"]["graph"]["nodes"][0]["target"] = target

    refused(changed(good, {PROGRAM: program(aim)}), tmp_path / "mark")


def test_no_text_is_evaluated(good, tmp_path):
    mark = tmp_path / "mark"
    run = f"__import__('pathlib').Path({str(mark)!r}).touch()"

    def size(found):
        value = next(iter(found["graph_module"]["graph"]["tensor_values"].values()))
        value["sizes"][0] = {"as_expr": {"expr_str": run, "hint": None}}

    refused(changed(good, {PROGRAM: program(size)}), mark, "sizes that are left open")

    def guard(found):
        found.update({"guards_code": [run]} if "guards_code" in found else {})

    assert fastrf.load(changed(good, {PROGRAM: program(guard)})).input_shape == (2, 6)

    def name(found):
        found["graph_module"]["graph"]["nodes"][0]["inputs"][0]["arg"] = {"as_device": {"type": run, "index": None}}

    refused(changed(good, {PROGRAM: program(name)}), mark)
    assert not mark.exists()


def test_names_stand_in_code_that_pytorch_makes(good, tmp_path):
    mark = tmp_path / "mark"
    run = f"x=open({str(mark)!r}, 'w')"

    def rename(found):
        """The input, wherever it is named."""
        graph = found["graph_module"]["graph"]
        old = graph["inputs"][-1]["as_tensor"]["name"]
        text = json.dumps(found).replace(f'"{old}"', json.dumps(run))
        found.clear()
        found.update(json.loads(text))

    refused(changed(good, {PROGRAM: program(rename)}), mark)

    def called(found):
        values = found["graph_module"]["graph"]["tensor_values"]
        values["metadata"] = values["as_string"] = values["custom_obj"] = next(iter(values.values()))

    assert fastrf.load(changed(good, {PROGRAM: program(called)})).input_shape == (2, 6)


def test_names_of_tensors_stand_in_code_as_well(tabled, tmp_path):
    mark = tmp_path / "mark"

    def attribute(config):
        config["config"] = {f'a"),open({str(mark)!r}': told for told in config["config"].values()}

    refused(changed(tabled, {"model_weights_config.json": program(attribute)}), mark)


@pytest.mark.parametrize(
    "tree",
    [
        {"type": "collections.defaultdict", "context": json.dumps({"default_factory_module": "payload"})},
        {"type": "builtins.dict", "context": json.dumps([{"__enum__": True, "fqn": "payload:x", "name": "y"}])},
        {"type": "builtins.tuple", "context": json.dumps({"__enum__": True, "fqn": "payload:x", "name": "y"})},
        {"type": "collections.namedtuple", "context": "null"},
    ],
)
@pytest.mark.parametrize("place", ["in_spec", "out_spec"])
def test_structures_import_nothing(good, tmp_path, monkeypatch, tree, place):
    mark = tmp_path / "mark"
    (tmp_path / "payload.py").write_text(f"open({str(mark)!r}, 'w')")
    monkeypatch.syspath_prepend(tmp_path)

    def plant(found):
        found["graph_module"]["module_call_graph"][0]["signature"][place] = json.dumps(
            [1, {**tree, "children_spec": []}]
        )

    refused(changed(good, {PROGRAM: program(plant)}), mark)


def older(exported, path, **changes):
    """The archive that PyTorch before 2.8 wrote."""
    from torch._export.serde.schema import SCHEMA_VERSION
    from torch._export.serde.serialize import serialize

    artifact = serialize(exported)
    members = {
        "version": ".".join(map(str, SCHEMA_VERSION)).encode(),
        "serialized_exported_program.json": artifact.exported_program,
        "serialized_state_dict.pt": artifact.state_dict,
        "serialized_constants.pt": artifact.constants,
        "serialized_example_inputs.pt": artifact.example_inputs,
        **changes,
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_archives_of_older_versions(exported, good, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "good.pt2"
    known = fastrf.load(good)
    assert fastrf.load(older(exported, path)) == known
    evil = pickled((Payload(mark),))
    assert fastrf.load(older(exported, path, **{"serialized_example_inputs.pt": evil})) == known
    assert not mark.exists()
    for name in ("serialized_state_dict.pt", "serialized_constants.pt"):
        refused(older(exported, path, **{name: evil}), mark)


def test_what_is_no_archive(tmp_path, good):
    for content in (b"", b"no", good.read_bytes()[:500]):
        (tmp_path / "bad.pt2").write_bytes(content)
        with pytest.raises(fastrf.FormatError, match=r"not a \.pt2 file"):
            fastrf.load(tmp_path / "bad.pt2")
    with pytest.raises(fastrf.FormatError, match="No such file"):
        fastrf.load(tmp_path / "none.pt2")


def test_a_tensor_has_the_values_that_it_claims(tabled, tmp_path):
    def grow(config):
        next(iter(config["config"].values()))["tensor_meta"]["sizes"] = [{"as_int": 1 << 40}]

    changes = {"model_weights_config.json": program(grow), "weights/weight_0": lambda _: b""}
    refused(changed(tabled, changes), tmp_path / "mark", "has a shape but no values")


def test_a_path_is_never_code():
    import pathlib

    with pytest.raises(fastrf.FormatError, match="No such file"):
        fastrf.load(pathlib.Path("torch.nn:ReLU"))
    with pytest.raises(fastrf.FormatError, match="SystemExit"):
        fastrf.load("sys:exit")


@pytest.mark.parametrize("size", [1 << 31, 1 << 40])
def test_constants_are_bounded(good, size):
    """A program of a few kilobytes that adds ones of a size that no memory holds."""

    def grow(found):
        graph = found["graph_module"]["graph"]
        last, model = graph["outputs"][0], graph["nodes"][0]

        def argument(name, value):
            return {**model["inputs"][0], "name": name, "arg": value}

        def node(name, target, inputs):
            named = {"name": name} if "name" in model else {}
            out = [{"as_tensor": {"name": name}}]
            return {**model, "target": f"torch.ops.aten.{target}", "inputs": inputs, "outputs": out, **named}

        ones = [argument("size", {"as_ints": [size, 1, 1]}), argument("fill_value", {"as_float": 1.0})]
        graph["nodes"].append(node("ones", "full.default", ones))
        both = [argument("self", last), argument("other", {"as_tensor": {"name": "ones"}})]
        graph["nodes"].append(node("sum", "add.Tensor", both))
        like = graph["tensor_values"][last["as_tensor"]["name"]]
        for name in ("ones", "sum"):
            graph["tensor_values"][name] = {**like, "sizes": [{"as_int": size}, {"as_int": 1}, {"as_int": 1}]}
        graph["outputs"] = [{"as_tensor": {"name": "sum"}}]
        spec = found["graph_module"]["signature"]["output_specs"][0]
        spec["user_output"]["arg"]["as_tensor"]["name"] = "sum"

    with pytest.raises(fastrf.FastRFError, match=r"limits\(constant=|can be counted"):
        fastrf.load(changed(good, {PROGRAM: program(grow)}))
