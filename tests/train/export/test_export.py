"""An exported graph against the policy it was made of; small widths, since an export takes seconds whatever the width."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import typer
from typer.testing import CliRunner

from dataset.errors import CheckpointError, ConfigError
from dataset.features.layout import zeroed
from dataset.io.atomic import sha256_of
from tests.train.builders import tiny_config, tiny_policy_config, tiny_splits, write_store
from train.cli import register
from train.export import export
from train.export.cost import measure_cost
from train.export.export import (
    CHECKED_FRAMES,
    Exported,
    compare,
    export_front,
    export_run,
    one_thread_session,
    random_frame,
    with_sampler,
)
from train.export.folded_step import FoldedStep, as_state, joint_components, leaves_of
from train.export.sampler_graph import class_table
from train.policy.components import one_hot
from train.policy.config import BACKBONES, HEADS, PolicyConfig
from train.policy.embed import Embed
from train.policy.policy import HIDDEN, Policy
from train.runs.checkpoint import load_policy, run_record, save_weights
from train.runs.run_folder import GRAPH, save_record


def trained_looking(config: PolicyConfig, seed: int = 0) -> Policy:
    """A policy with every weight alive, so that each of them is seen to reach the graph."""
    torch.manual_seed(seed)
    policy = Policy(config).eval()
    for name, parameter in policy.named_parameters():
        if name.startswith("head."):
            torch.nn.init.normal_(parameter, std=0.3)
    return policy


def write_run(folder: Path, config: PolicyConfig) -> Path:
    folder.mkdir(parents=True)
    save_record(folder, run_record(tiny_config(policy=config)))
    save_weights(trained_looking(config), folder / "best.safetensors")
    return folder


def write_graph(policy: Policy) -> bytes:
    return with_sampler(export_front(policy), policy).SerializeToString()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return export_run(write_run(tmp_path_factory.mktemp("runs") / "gru", tiny_policy_config()))


@pytest.fixture
def quickly(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exports hand out the graph that is there already, and look at a few frames of it."""
    monkeypatch.setattr(export, "export_front", lambda policy: onnx.ModelProto.FromString(exported.front))
    monkeypatch.setattr(export, "CHECKED_FRAMES", 30)


def unexported(exported: Exported, folder: Path) -> Path:
    """The exported run as it was before."""
    run = Path(shutil.copytree(exported.path.parent, folder))
    (run / GRAPH).unlink()
    return run


def test_every_backbone_is_exported() -> None:
    assert {*EXPORTED, "gru"} == set(BACKBONES)


EXPORTED = {"mlp": (16,), "lstm": (16, 16), "mamba": (16,), "gmlp": (16,), "sliding_window": (16,), "jamba": (16, 16)}
"""Layers of each backbone but the GRU, whose export is shared: as few as show how layers follow each other."""


@pytest.mark.parametrize("backbone", EXPORTED)
def test_a_graph_gives_what_pytorch_gives_over_600_frames_with_the_state_carried(backbone: str) -> None:
    policy = trained_looking(tiny_policy_config(backbone=backbone, hidden_sizes=EXPORTED[backbone]))
    _, error, different = compare(write_graph(policy), policy)
    assert CHECKED_FRAMES == 600
    assert different == 0
    assert error <= 5e-6


def test_what_the_comparison_steps_is_the_policys_step() -> None:
    policy, generator = trained_looking(tiny_policy_config()), torch.Generator().manual_seed(0)
    state = stepped = policy.initial_state(1)
    for _ in range(20):
        frame = random_frame(policy, generator, delay=2)
        given = [torch.from_numpy(frame[name]) for name in ("continuous", "indices", "previous", "delay", "noise")]
        with torch.no_grad():
            classes, stepped = policy.step(*given, stepped, torch.from_numpy(frame["temperature"]))
        compared, _, state = export._step(policy, frame, state)
        assert torch.equal(compared, classes)
        assert all(torch.equal(a, b) for a, b in zip(leaves_of(state), leaves_of(stepped), strict=True))


@pytest.mark.parametrize(("head", "stage_mode"), list(zip(HEADS, ("compact", "one_hot"), strict=True)))
def test_both_heads_the_joint_codec_and_expanded_ids_are_exported_too(head: str, stage_mode: str) -> None:
    modes = {"action_mode": "one_hot", "character_mode": "one_hot", "stage_mode": stage_mode}
    config = tiny_policy_config(backbone="mlp", hidden_sizes=(16,), codec="joint", head=head, **modes)
    policy = trained_looking(config, seed=1)  # with seed 0 one noise lies within 1e-6 of the border between two classes
    _, error, different = compare(write_graph(policy), policy)
    assert (different, error <= 5e-6) == (0, True)


def test_a_graph_is_as_blind_to_features_as_its_policy() -> None:
    policy = trained_looking(tiny_policy_config(backbone="mlp", hidden_sizes=(16,), features="base"))
    graph, generator = write_graph(policy), torch.Generator().manual_seed(0)
    _, error, different = compare(graph, policy)
    assert (different, error <= 5e-6) == (0, True)
    session, frame, other = one_thread_session(graph), *(random_frame(policy, generator, delay=0) for _ in range(2))
    for name, rows in zip(("continuous", "indices"), zeroed("base"), strict=True):
        changed = frame[name].copy()
        changed[:, list(rows)] = other[name][:, list(rows)]
        assert (changed != frame[name]).any()
        for before, after in zip(session.run(None, frame), session.run(None, frame | {name: changed}), strict=True):
            np.testing.assert_array_equal(before, after)


def test_an_export_says_what_it_was_made_of(exported: Exported) -> None:
    facts = {entry.key: entry.value for entry in onnx.load(exported.path).metadata_props}
    assert facts == {
        "graph_version": "2",
        "weights_sha256": sha256_of(exported.path.with_name("best.safetensors")),
        "precision": "f32",
    }
    assert exported.path.name == GRAPH
    assert exported.bytes == exported.path.stat().st_size
    assert exported.max_abs_error < 1e-4
    assert exported.different_frames == 0


def test_a_graph_takes_a_frame_noise_and_state_and_gives_classes_logits_and_state(exported: Exported) -> None:
    session = ort.InferenceSession(exported.path, providers=["CPUExecutionProvider"])
    frame = ["continuous", "indices", "previous", "delay", "noise", "temperature"]
    assert sorted(value.name for value in session.get_inputs()) == sorted([*frame, "state_0", "state_1"])
    assert [value.name for value in session.get_outputs()] == ["classes", "logits", "next_state_0", "next_state_1"]


@pytest.mark.usefixtures("quickly")
def test_a_graph_that_differs_from_pytorch_is_not_kept(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = unexported(exported, tmp_path / "run")
    monkeypatch.setattr(export, "TOLERANCE", 0.0)
    with pytest.raises(CheckpointError, match="run run: its graph must give what PyTorch gives"):
        export_run(run)
    assert sorted(path.name for path in run.iterdir()) == ["best.safetensors", "config.json"]


def test_the_comparison_sees_another_policys_graph(exported: Exported) -> None:
    _, error, different = compare(exported.path.read_bytes(), trained_looking(tiny_policy_config(), seed=1))
    assert error > 0.01
    assert different > 0


def test_int8_keeps_large_matrices_in_a_quarter_and_errs_a_little(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "CHECKED_FRAMES", 100)
    run = write_run(tmp_path / "run", tiny_policy_config(backbone="mlp", hidden_sizes=(256, 256)))
    exported = export_run(run, is_int8=True)
    kinds = [tensor.data_type for tensor in onnx.load(exported.path).graph.initializer if np.prod(tensor.dims) > 60_000]
    assert kinds.count(onnx.TensorProto.UINT8) == 3, "two layers and the head's hidden one"
    assert onnx.TensorProto.INT8 not in kinds, "signed weights saturate on processors without VNNI"
    assert 1e-5 < exported.max_abs_error < 0.1
    assert exported.different_frames < export.CHECKED_FRAMES / 5


def test_components_that_make_a_float_together_share_a_table() -> None:
    names = [name for name, _ in trained_looking(tiny_policy_config()).codec.components]
    groups = joint_components(trained_looking(tiny_policy_config()).embed)
    assert [[names[k] for k in group] for group in groups if len(group) > 1] == [["trigger", "z", "l", "r"]]
    assert sorted(k for group in groups for k in group) == list(range(len(names)))


def test_folded_tables_hold_what_the_embedding_projects() -> None:
    policy = trained_looking(tiny_policy_config(backbone="mlp", hidden_sizes=(16,)))
    folded = FoldedStep(policy)
    assert isinstance(policy.embed, Embed)
    assert folded.table.shape[1] == 16
    with torch.no_grad():
        (hidden,) = folded(
            torch.ones(1, folded.weight.shape[0] - 1),
            torch.ones(1, 12, dtype=torch.int64),
            torch.ones(1, 13, dtype=torch.int64),
            torch.ones(1),
        )
        x, _ = policy.embed(torch.ones(1, 93), torch.ones(1, 12).long(), torch.ones(1, 13).long(), torch.ones(1))
    assert torch.allclose(hidden, policy.head.hidden(policy.backbone.step(x, ())[0]), atol=1e-5)


def test_the_table_of_classes_holds_the_prior_and_what_a_chosen_one_adds() -> None:
    head = trained_looking(tiny_policy_config()).head
    classes = torch.ones(1, 13, dtype=torch.int64)
    held = one_hot(classes, head.columns, head.components.num_columns).float()
    found = torch.from_numpy(class_table(head)[head.columns + 1].sum(axis=0))  # [K, 1, W + M]
    prior = (held @ head.prior.weight + head.output.bias)[0]
    assert torch.allclose(found[:4, 0, :17].flatten(), prior[: 4 * 17], atol=1e-5)
    assert torch.allclose(found[:, 0, 17:].flatten(), (held @ head._chosen())[0], atol=1e-5)
    assert found.shape == (13, 1, 17 + HIDDEN)


def test_an_independent_heads_table_holds_the_prior_alone() -> None:
    assert class_table(trained_looking(tiny_policy_config(head="independent")).head).shape[1:] == (13, 1, 17)


def test_a_class_that_a_component_lacks_is_never_likely() -> None:
    table = class_table(trained_looking(tiny_policy_config()).head)
    assert bool((table[0, 5:, 0, 2:17] == -1e9).all()), "buttons have two classes"


def test_a_nested_state_survives_being_flattened() -> None:
    state = (torch.zeros(1), (torch.ones(1), (torch.full((1,), 2.0),)), ())
    leaves = leaves_of(state)
    assert [float(leaf) for leaf in leaves] == [0.0, 1.0, 2.0]
    assert as_state(state, iter(leaves)) == state


def test_the_cost_on_replays_is_none_for_an_exact_graph(exported: Exported, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits())
    cost = measure_cost(load_policy(exported.path.parent), exported.front, store)
    assert cost["frames"] == 188, "two test replays of 90 and 100 frames, the last target of each beyond its end"
    assert cost["nll_exported"] == pytest.approx(cost["nll"], abs=1e-5)
    assert cost["accuracy_exported"] == pytest.approx(cost["accuracy"], abs=1e-3)


def test_the_cost_on_replays_shows_a_graph_of_other_weights(exported: Exported, tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits(test=1))
    loaded = load_policy(exported.path.parent)
    with torch.no_grad():
        loaded.policy.head.hidden.weight *= -1
    cost = measure_cost(loaded, exported.front, store)
    assert abs(cost["nll_exported"] - cost["nll"]) > 0.1


@pytest.mark.usefixtures("quickly")
def test_the_command_prints_one_json_object(exported: Exported, tmp_path: Path) -> None:
    run = unexported(exported, tmp_path / "run")
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, ["export", str(run), "--json"])
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["bytes"] == (run / GRAPH).stat().st_size
    assert result["different_controllers"] == 0
    assert isinstance(CliRunner().invoke(app, ["export", str(run), "--split", "val"]).exception, ConfigError)


@pytest.mark.usefixtures("quickly")
def test_people_read_of_an_export_in_sentences(exported: Exported, tmp_path: Path) -> None:
    run, store = unexported(exported, tmp_path / "run"), write_store(tmp_path / "store", tiny_splits(test=1))
    app = typer.Typer()
    register(app)
    told = CliRunner().invoke(app, ["export", str(run), "--store", str(store)]).stderr.splitlines()
    assert re.fullmatch(
        rf"{run / GRAPH}: [\d,]+ bytes; over \d+ frames it differs from PyTorch by \S+ at most, and in 0 controllers",
        told[0],
    )
    assert re.fullmatch(r"over \d+ frames of the store: NLL \S+ nats \(PyTorch \S+\), accuracy \S+ \(\S+\)", told[1])
