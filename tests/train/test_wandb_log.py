from pathlib import Path
from typing import Any

import pytest
import wandb

from tests.train.builders import tiny_config, tiny_splits, write_store
from train.run import train_run
from train.wandb_log import WandbLog


def test_a_run_is_logged_through_the_official_client_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    logged: dict[str, Any] = {}
    log = wandb.Run.log

    def remembered(run: Any, values: dict[str, Any], **options: Any) -> None:
        logged.update(values)
        log(run, values, **options)

    monkeypatch.setattr(wandb.Run, "log", remembered)
    store = write_store(tmp_path / "store", tiny_splits())
    summary = train_run(tiny_config(), store, "logged", runs=tmp_path / "runs", callbacks=[WandbLog()])
    assert logged["train/loss"] > 0
    assert logged["train/lr"] > 0
    assert logged["val/persistence/nll"] == pytest.approx(summary["persistence_nll"])
    assert logged["val/buttons/x/press_true"] > 0
    files = list((tmp_path / "runs" / "logged" / "wandb").glob("offline-run-*/*.wandb"))
    assert len(files) == 1
    assert files[0].stat().st_size > 1000
