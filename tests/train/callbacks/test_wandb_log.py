from pathlib import Path
from typing import Any

import pytest
import wandb

from dataset.errors import ConfigError
from tests.train.builders import tiny_config, tiny_splits, write_store
from tests.train.fit.test_train_run import Losses
from train.callbacks import WandbLog, store_artifact
from train.fit.train_run import train_run


def test_a_run_and_its_resumption_are_one_run_of_the_official_client_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    logged: dict[str, Any] = {}
    log = wandb.Run.log

    def remembered(run: Any, values: dict[str, Any], **options: Any) -> None:
        logged.update(values)
        log(run, values, **options)

    monkeypatch.setattr(wandb.Run, "log", remembered)
    kept: list[tuple[str, str, set[str]]] = []
    log_artifact = wandb.Run.log_artifact

    def kept_artifact(run: Any, artifact: Any, **options: Any) -> Any:
        kept.append((artifact.type, artifact.name.split(":")[0], set(artifact.manifest.entries)))
        return log_artifact(run, artifact, **options)

    monkeypatch.setattr(wandb.Run, "log_artifact", kept_artifact)
    used: list[Any] = []
    monkeypatch.setattr(wandb.Run, "use_artifact", lambda run, artifact: used.append(artifact))
    store, runs = write_store(tmp_path / "store", tiny_splits()), tmp_path / "runs"
    before = [WandbLog(), Losses(stop_after=20)]
    assert train_run(tiny_config(), store, "logged here", runs=runs, callbacks=before)["is_interrupted"]
    assert kept == []
    summary = train_run(tiny_config(), store, "logged here", runs=runs, callbacks=[WandbLog()], is_resumed=True)
    assert logged["train/loss"] > 0
    assert logged["train/lr"] > 0
    assert logged["val/persistence/nll"] == pytest.approx(summary["persistence_nll"])
    assert logged["val/buttons/x/press_true"] > 0
    assert kept == [("model", "logged-here", {"best.safetensors", "config.json"})]
    assert used == [], "offline wandb takes no inputs"
    run = runs / "logged here"
    files = list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert {file.stem for file in files} == {f"run-{(run / 'wandb-id.txt').read_text().strip()}"}
    assert all(file.stat().st_size > 1000 for file in files)


def test_the_store_is_an_input_known_by_its_digest_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    class Run:
        offline = False

        def use_artifact(self, artifact: Any) -> None:
            given["artifact"] = artifact

    def init(**options: Any) -> Run:
        given.update(options)
        return Run()

    monkeypatch.setattr(wandb, "init", init)
    facts = {"replays": 3, "frames": 300, "hours": 0.001}
    data = {"manifest_digest": "d" * 32, "train": {**facts, "ids": ["a"]}, "val": {**facts, "ids_sha256": ""}}
    WandbLog().on_start(tmp_path, {"codec": "axis17", "data": data})
    artifact = given["artifact"]
    assert given["config"] == {"codec": "axis17", "data": {"manifest_digest": "d" * 32}}
    assert (artifact.name, artifact.type) == (f"store-{'d' * 32}", "dataset")
    assert artifact.metadata == {"manifest_digest": "d" * 32, "train": facts, "val": facts}
    assert {name: entry.ref for name, entry in artifact.manifest.entries.items()} == {"store": f"exphil://{'d' * 32}"}
    assert artifact.digest == store_artifact(data).digest != store_artifact(data | {"manifest_digest": "e" * 32}).digest


def test_without_a_login_the_ways_out_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def init(**options: Any) -> None:
        raise wandb.errors.UsageError("No API key configured. Use `wandb login` to log in.")

    monkeypatch.setattr(wandb, "init", init)
    data = {"manifest_digest": "d" * 32, "train": {"ids": []}, "val": {"ids_sha256": ""}}
    with pytest.raises(ConfigError, match=r"Use `wandb login` to log in; .* WANDB_MODE=offline, then .* --resume"):
        WandbLog().on_start(tmp_path, {"data": data})
