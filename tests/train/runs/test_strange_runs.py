"""Run folders from strangers: each is refused in a line that names the file, and nothing of the size it asks for is made."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from dataset.errors import CheckpointError
from tests.train.builders import SIZES
from tests.train.runs.test_checkpoint import write_run
from train.compare.measured import read_curve
from train.measure.lookup import Counts
from train.policy.config import BACKBONES, PolicyConfig
from train.policy.policy import Policy
from train.runs.checkpoint import load_policy, load_state, save_weights, seen_ids
from train.runs.run_folder import load_record

Record = dict[str, Any]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_run(tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (lambda record: "null", "config.json: must hold what exphil train wrote"),
        (lambda record: "[]", "config.json: must hold"),
        (lambda record: "[" * 100_000, "RecursionError"),
        (lambda record: "1" * 100_000, "config.json: must hold"),
        (lambda record: "\xff", "Expecting value"),
        (lambda record: json.dumps(record | {"config": None}), "config.json: must hold"),
        (lambda record: json.dumps(record | {"config": {"policy": []}}), "config.json: must hold"),
        (lambda record: json.dumps(record | {"codec": ["axis17"]}), "config.json: must hold"),
        (lambda record: json.dumps(record | {"note": float("nan")}), "NaN, which is no number"),
    ],
)
def test_a_record_that_is_none_is_one_line(run: Path, text: Callable[[Record], str], found: str) -> None:
    path = run / "config.json"
    path.write_text(text(json.loads(path.read_text())))
    with pytest.raises(CheckpointError, match=found) as caught:
        load_record(run)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("policy", "hidden_sizes", "256"),
        ("policy", "hidden_sizes", [16.5, 16.5]),
        ("policy", "hidden_sizes", [[16], [16]]),
        ("policy", "dropout", "0"),
        ("policy", "backbone", 3),
        ("policy", "backbone", ["gru"]),
        ("data", "delay", 3.5),
        ("data", "delay", True),
        ("data", "character", {}),
        ("data", "augment", 1),
        ("optim", "weight_decay", 10**308 * 10),
        ("data", "window_size", 2**70),
        ("loss", "nothing", 1),
    ],
)
def test_a_setting_of_another_type_names_the_file_and_the_setting(
    run: Path, part: str, name: str, value: object
) -> None:
    path = run / "config.json"
    record = json.loads(path.read_text())
    record["config"][part][name] = value
    path.write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=rf"config\.json: .*{name}"):
        load_policy(run)


@pytest.mark.parametrize("sizes", [[10**6] * 2, [10**12] * 2, [2**62] * 2, [16] * 10**5, [32, 32]])
def test_a_policy_that_its_weights_do_not_fill_is_never_built(
    run: Path, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run / "config.json"
    record = json.loads(path.read_text())
    record["config"]["policy"]["hidden_sizes"] = sizes
    path.write_text(json.dumps(record))

    def is_described(policy: Policy, config: PolicyConfig) -> None:
        assert torch.get_default_device().type == "meta"
        real(policy, config)

    real = Policy.__init__
    monkeypatch.setattr(Policy, "__init__", is_described)
    with pytest.raises(CheckpointError, match=r"best\.safetensors: must hold the weights that config\.json describes"):
        load_policy(run)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_the_weights_of_every_backbone_are_compared_and_fit(run: Path, backbone: str) -> None:
    path = run / "config.json"
    config = PolicyConfig(backbone=backbone, hidden_sizes=(16, 16))
    record = json.loads(path.read_text())
    record["config"]["policy"] = json.loads(json.dumps(vars(config), default=str))
    path.write_text(json.dumps(record))
    policy = Policy(config)
    save_weights(policy, run / "best.safetensors")
    assert load_policy(run).policy.state_dict().keys() == policy.state_dict().keys()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(run: Path, value: float) -> None:
    policy = load_policy(run).policy
    next(policy.parameters()).data.view(-1)[0] = value
    save_weights(policy, run / "best.safetensors")
    with pytest.raises(CheckpointError, match=r"best\.safetensors: weights must be finite"):
        load_policy(run)


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"PK\3\4", b"\x80\x02cos\nsystem\n."])
def test_states_and_weights_that_are_none_are_one_line(run: Path, data: bytes) -> None:
    for name, load in (("best.safetensors", lambda path: load_policy(path.parent)), ("last.state.pt", load_state)):
        (run / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=name) as caught:
            load(run / name)
        assert "\n" not in str(caught.value)


def test_a_state_that_leads_its_reader_to_an_error_of_the_disk_is_one_line(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object, **__: object) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")  # as where it is told to seek before the beginning

    (run / "last.state.pt").write_bytes(b"PK")
    monkeypatch.setattr("torch.load", load)
    with pytest.raises(CheckpointError, match=r"last\.state\.pt: must be a saved training state"):
        load_state(run / "last.state.pt")


@pytest.mark.parametrize(
    "line",
    ["", "null", "3", "{", "{}", '{"frames": "x"}', '{"frames": 1, "epoch": 0, "frames_per_second": 0}', "[" * 100_000],
)
def test_metrics_that_are_none_name_the_file(run: Path, line: str) -> None:
    (run / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl: must hold what exphil train wrote"):
        read_curve(run)


@pytest.mark.parametrize(
    "persistence",
    [
        None,
        {"stay": [], "changes": []},
        {"stay": [0.5] * len(SIZES), "changes": [[0.5]] * len(SIZES)},
        {"stay": [2.0] * len(SIZES), "changes": [[0.5] * size for size in SIZES]},
        {"stay": ["x"] * len(SIZES), "changes": [[0.5] * size for size in SIZES]},
    ],
)
def test_a_persistence_of_other_components_is_refused(run: Path, persistence: object) -> None:
    path = run / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"persistence": persistence}))
    with pytest.raises(CheckpointError, match=r"config\.json: must hold"):
        _ = load_policy(run).persistence


@pytest.mark.parametrize(
    "tensors",
    [
        {"keys": torch.tensor([2**60]), "counts": torch.tensor([1])},
        {"keys": torch.tensor([-1]), "counts": torch.tensor([1])},
        {"keys": torch.zeros(3, 3), "counts": torch.zeros(3, 3)},
        {"keys": torch.tensor([1, 2]), "counts": torch.tensor([1])},
        {"keys": torch.tensor([1], dtype=torch.int64)},
    ],
)
def test_a_lookup_of_other_transitions_is_refused(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, tmp_path / "lookup.safetensors")
    with pytest.raises(CheckpointError, match=r"lookup\.safetensors: must hold a lookup's counts"):
        Counts.load(tmp_path / "lookup.safetensors", tuple(SIZES))


@pytest.mark.parametrize("data", [None, [], {"train": None}, {"train": {"ids": 3}}, {"train": {"ids": [[]]}}])
def test_a_record_without_the_replays_it_has_seen_is_refused(data: object) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json: must hold"):
        seen_ids({"data": data})
