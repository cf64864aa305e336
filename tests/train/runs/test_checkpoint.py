import json
from pathlib import Path

import pytest
import torch

from dataset.errors import CheckpointError
from tests.train.builders import tiny_policy_config
from train.config.run_config import DataConfig, RunConfig
from train.policy.policy import Policy
from train.runs.checkpoint import load_policy, load_state, run_record, save_state, save_weights
from train.runs.run_folder import save_record


def write_run(folder: Path) -> tuple[RunConfig, Policy]:
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    config = RunConfig(policy=tiny_policy_config(), data=DataConfig(character="falco", delay=3))
    policy = Policy(config.policy)
    save_record(folder, run_record(config, note="kept"))
    save_weights(policy, folder / "best.safetensors")
    return config, policy


def test_a_run_loads_by_folder_by_name_and_by_weights_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, policy = write_run(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    for argument in (tmp_path / "runs" / "first", "first", tmp_path / "runs" / "first" / "best.safetensors"):
        loaded = load_policy(argument)
        assert (loaded.config, loaded.delay, loaded.contract, loaded.codec.name) == (config, 3, "stream", "axis17")
        assert loaded.record["note"] == "kept"
        assert not loaded.policy.training
        for name, tensor in policy.state_dict().items():
            assert torch.equal(loaded.policy.state_dict()[name], tensor)


def test_an_unknown_run_lists_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(tmp_path / "runs" / "first")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"run 'second': .* known runs: first"):
        load_policy("second")


@pytest.mark.parametrize("field", ["schema_version", "encoder_digest", "codec_digest", "contract"])
def test_a_run_made_for_other_data_is_refused(tmp_path: Path, field: str) -> None:
    write_run(tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: "other"}))
    with pytest.raises(CheckpointError, match=f"this exphil reads {field} .*, found other"):
        load_policy(tmp_path / "run")


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "run")
    path = tmp_path / "run" / "best.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="must hold the weights that config"):
        load_policy(tmp_path / "run")
    path.unlink()
    with pytest.raises(CheckpointError, match="weights are needed"):
        load_policy(tmp_path / "run")


def test_a_training_state_comes_back_and_holds_only_plain_values(tmp_path: Path) -> None:
    save_state({"step": 3, "tensors": (torch.ones(2), {"a": [1.5, "b"]})}, tmp_path / "last.state.pt")
    state = load_state(tmp_path / "last.state.pt")
    assert state["step"] == 3
    assert torch.equal(state["tensors"][0], torch.ones(2))
    torch.save({"path": tmp_path}, tmp_path / "evil.state.pt")
    with pytest.raises(CheckpointError, match="must be a saved training state"):
        load_state(tmp_path / "evil.state.pt")


def test_a_policy_trained_on_windows_says_so(tmp_path: Path) -> None:
    config = RunConfig(policy=tiny_policy_config(), data=DataConfig(sampling="windows"))
    policy = Policy(config.policy)
    (tmp_path / "run").mkdir()
    save_record(tmp_path / "run", run_record(config))
    save_weights(policy, tmp_path / "run" / "best.safetensors")
    assert load_policy(tmp_path / "run").contract == "window"
