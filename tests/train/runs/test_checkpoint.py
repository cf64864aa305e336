import errno
import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from dataset.codecs.registry import get_codec
from dataset.errors import CheckpointError, ConfigError
from tests.train.builders import sample, tiny_config, tiny_policy_config, tiny_splits, write_store
from train.config.run_config import DataConfig, OptimConfig, RunConfig
from train.data.load import load_data
from train.fit.train_run import train_run
from train.measure.evaluate import evaluate_run
from train.policy.policy import Policy
from train.runs.checkpoint import load_initial, load_policy, load_state, run_record, save_state, save_weights, seen_ids
from train.runs.run_folder import load_record, save_record


def write_run(folder: Path, **built: Any) -> tuple[RunConfig, Policy]:
    folder.mkdir(parents=True)
    torch.manual_seed(0)
    config = RunConfig(policy=tiny_policy_config(**built), data=DataConfig(character="falco", delay=3))
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


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("is_state", [False, True])
def test_a_full_disk_says_so_itself_while_a_run_is_saved(is_state: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.runs.checkpoint.replacing", lambda path: nullcontext(path))
    full = Path("/dev/full")
    with pytest.raises(OSError, match="No space left") as found:
        save_state({"step": 3}, full) if is_state else save_weights(Policy(tiny_policy_config()), full)
    assert found.value.errno == errno.ENOSPC


def test_a_policy_trained_on_windows_says_so(tmp_path: Path) -> None:
    config = RunConfig(policy=tiny_policy_config(), data=DataConfig(sampling="windows"))
    policy = Policy(config.policy)
    (tmp_path / "run").mkdir()
    save_record(tmp_path / "run", run_record(config))
    save_weights(policy, tmp_path / "run" / "best.safetensors")
    assert load_policy(tmp_path / "run").contract == "window"


STILL = OptimConfig(epochs=1, lr=1e-12, weight_decay=0.0, ema_decay=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on both players of one store, and a store of other replays for a second."""
    folder = tmp_path_factory.mktemp("initial")
    config = tiny_config(data=DataConfig(lanes=2, window_size=10), optim=OptimConfig(epochs=1, lr=0.05))
    train_run(config, write_store(folder / "all", tiny_splits()), "all", runs=folder)
    own = {split: [sample(f"own-{split}", 60)] for split in ("train", "val", "test")}
    write_store(folder / "own", own)
    return folder


def test_a_run_begins_with_the_weights_it_is_given_its_average_too(folder: Path) -> None:
    train_run(tiny_config(optim=STILL), folder / "own", "begun", runs=folder, init_from=folder / "all")
    expected = load_policy(folder / "all").policy.state_dict()
    saved = load_state(folder / "begun" / "last.state.pt")
    for name, tensor in expected.items():
        assert torch.allclose(saved["policy"][name], tensor, atol=1e-6), name
        assert torch.allclose(saved["ema"][name], tensor, atol=1e-6), name
    assert load_record(folder / "begun")["init_from"] == {"run": "all", "ids": ["train0", "train1", "train2"]}


def test_what_was_trained_on_before_stays_seen(folder: Path) -> None:
    train_run(tiny_config(optim=STILL), folder / "own", "later", runs=folder, init_from=folder / "all")
    assert seen_ids(load_record(folder / "later")) == {"own-train", "train0", "train1", "train2"}
    device = torch.device("cpu")
    with pytest.raises(ConfigError, match="found that it trained on 3 of these 7"):
        evaluate_run(load_policy(folder / "later"), folder / "all", split="all", is_seen_allowed=False, device=device)
    chosen = tiny_splits(train=1, val=1)
    chosen["val"] = [sample("train1", 60)]
    with pytest.raises(ConfigError, match="--init-from all: the val replays must be new to it, found 1 that"):
        train_run(tiny_config(), write_store(folder / "swapped", chosen), "no", runs=folder, init_from=folder / "all")


def test_every_field_that_differs_is_named(folder: Path) -> None:
    config = tiny_config(policy=tiny_policy_config(hidden_sizes=(16, 16, 16), head="independent", dropout=0.1))
    with pytest.raises(
        ConfigError, match=r"found other hidden_sizes 16,16,16 \(there 16,16\), head independent"
    ) as told:
        load_initial(folder / "all", config)
    assert "dropout" not in str(told.value)
    with pytest.raises(ConfigError, match=r"found other codec joint \(there axis17\)"):
        load_initial(folder / "all", tiny_config(policy=tiny_policy_config(codec=get_codec("joint").name)))
    with pytest.raises(ConfigError, match=r"found other features all-items \(there all\)"):
        load_initial(folder / "all", tiny_config(policy=tiny_policy_config(features="all-items")))


def test_the_frames_that_gates_see_belong_to_the_weights_and_those_of_attention_do_not(tmp_path: Path) -> None:
    for backbone in ("gmlp", "sliding_window"):
        config, _ = write_run(tmp_path / backbone, backbone=backbone, lookback=8)
        longer = replace(config, policy=replace(config.policy, lookback=9))
        fits = nullcontext() if backbone == "sliding_window" else pytest.raises(ConfigError, match=r"lookback 9 .*8")
        with fits:
            load_initial(tmp_path / backbone, longer)


def test_a_run_of_another_schema_is_refused(folder: Path) -> None:
    text = (folder / "all" / "config.json").read_text()
    (folder / "old").mkdir()
    (folder / "old" / "config.json").write_text(text.replace('"schema_version": ', '"schema_version": 9'))
    with pytest.raises(CheckpointError, match="this exphil reads schema_version"):
        load_initial(folder / "old", tiny_config())


def test_a_resumed_run_begins_from_itself(folder: Path) -> None:
    train_run(tiny_config(optim=STILL), folder / "own", "going", runs=folder)
    with pytest.raises(ConfigError, match="--init-from all: begins a new run, found --resume"):
        train_run(tiny_config(optim=STILL), folder / "own", "going", runs=folder, is_resumed=True, init_from="all")
    assert load_data(folder / "own", tiny_config()).train.ids == ["own-train"]
