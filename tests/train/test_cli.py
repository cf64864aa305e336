import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from dataset.errors import ConfigError
from tests.train.builders import tiny_splits, write_store
from train.cli import register
from train.config.run_config import DataConfig, LossConfig, OptimConfig, RunConfig
from train.data.stores import find_store
from train.policy.config import PolicyConfig

TINY = "--hidden-sizes 16,16 --batch-size 2 --window-size 10 --epochs 1 --train-character falco"


def exphil(line: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, line.split())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "store", tiny_splits())


@pytest.fixture(scope="module")
def runs(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        assert exphil(f"train --store {store} --name {name} --runs {folder} --device cpu {TINY}").exit_code == 0
    return folder


def test_what_to_type_next_can_be_typed_where_no_replay_fell_to_the_test_split(tmp_path: Path) -> None:
    store = write_store(tmp_path / "store", tiny_splits(test=0))
    result = exphil(f"train --store {store} --name few --runs {tmp_path} {TINY}")
    assert result.stderr.splitlines()[-1].endswith(f"--store {store} --split val")


def test_training_says_its_facts_first_and_what_to_type_next_last(store: Path, tmp_path: Path) -> None:
    result = exphil(f"train --store {store} --name first --runs {tmp_path} --json {TINY}")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["run"] == str(tmp_path / "first")
    lines = result.stderr.splitlines()
    assert [line.split()[0] for line in lines[:6]] == ["versions", "train", "val", "parameters", "inputs", "run"]
    assert lines[1] == "train       3 replays, 300 imitated frames, 0.00 h"
    assert lines[-1] == f"next: exphil eval --policy {tmp_path}/first --store {store} --split test"


def test_every_flag_reaches_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}

    def fake(config: RunConfig, store: str, name: str, **options: Any) -> dict[str, Any]:
        seen.update(config=config, store=store, name=name, **options)
        raise ConfigError("enough")

    monkeypatch.setattr("train.fit.train_run.train_run", fake)
    result = exphil(
        "train --store s --name n --runs r --train-character fox --backbone gru --temporal --hidden-sizes 32 "
        "--num-layers 3 --head independent --dropout 0.1 --prev-dropout 0.2 --delay 4 --batch-size 5 --window-size 6 "
        "--epochs 7 --lr 0.5 --lr-schedule constant --warmup-steps 8 --weight-decay 0.3 --max-grad-norm 0.9 "
        "--ema --ema-decay 0.5 "
        "--early-stopping --patience 2 --label-smoothing 0.05 --focal-loss --focal-gamma 1.5 --button-pos-weight 4 "
        "--seed 9 --device cpu --resume"
    )
    assert isinstance(result.exception, ConfigError)
    assert seen["config"] == RunConfig(
        policy=PolicyConfig(hidden_sizes=(32, 32, 32), head="independent", dropout=0.1, prev_dropout=0.2),
        data=DataConfig(character="fox", delay=4, lanes=5, window_size=6),
        optim=OptimConfig(
            epochs=7,
            lr=0.5,
            lr_schedule="constant",
            warmup_steps=8,
            weight_decay=0.3,
            max_grad_norm=0.9,
            ema_decay=0.5,
            early_stopping=True,
            patience=2,
        ),
        loss=LossConfig(label_smoothing=0.05, focal_gamma=1.5, button_pos_weight=4.0),
        seed=9,
    )
    assert (seen["store"], seen["name"], seen["runs"]) == ("s", "n", Path("r"))
    assert (seen["device"], seen["is_resumed"], len(seen["callbacks"])) == ("cpu", True, 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--patience 3", "--patience 3: acts only with --early-stopping, found it off; add"),
        ("--no-ema --ema-decay 0.9", "--ema-decay 0.9: acts only with --ema"),
        ("--focal-gamma 1", "--focal-gamma 1.0: acts only with --focal-loss"),
        ("--temporal --backbone mlp", "--temporal: contradicts --backbone mlp"),
        ("--hidden-sizes wide", "--hidden-sizes: whole numbers joined by commas, found 'wide'"),
        ("--preset full --no-ema --ema-decay 0.9", "--ema-decay 0.9: acts only with --ema"),
        ("--preset best", "--preset 'best': unknown; use one of quick, standard, full, production"),
        ("--hidden-sizes 8,4", "the layers of gru share one width"),
        ("--online-robust --delay 2", "--delay 2: fixes what --online-robust draws, found both"),
        ("--online-robust --delay 0", "--delay 0: fixes what --online-robust draws, found both"),
        ("--supervise last", "--supervise last: acts only on windows, found --sampling lanes"),
        ("--burn-in 4", "--burn-in: acts only on windows, found --sampling lanes"),
        (
            "--sampling windows --supervise last --burn-in 4",
            "--burn-in: acts only where all later frames are predicted, found --supervise last",
        ),
        ("--sampling windows --burn-in 64", "--burn-in: must leave at least one frame of the window of 64, found 64"),
        ("--sampling random", "--sampling 'random': unknown; use one of lanes, windows"),
    ],
)
def test_settings_that_could_not_act_are_refused(flags: str, message: str) -> None:
    result = exphil(f"train --store s --name n {flags}")
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_a_run_needs_a_name_and_the_shown_config_none() -> None:
    assert "--name: says where the run is kept" in str(exphil("train --store s").exception)
    assert exphil("train --show-config").exit_code == 0


def test_the_shown_config_says_where_each_value_came_from() -> None:
    result = exphil("train --preset full --epochs 3 --no-ema --backbone sliding_window --show-config --json")
    shown = json.loads(result.stdout)
    assert shown["config"]["optim"]["epochs"] == 3
    assert shown["config"]["policy"]["lookback"] == 60
    assert {field: shown["origins"][field] for field in ("optim.epochs", "optim.patience", "optim.lr", "seed")} == {
        "optim.epochs": "--epochs",
        "optim.patience": "preset full",
        "optim.lr": "default",
        "seed": "default",
    }
    assert ["optim.ema_decay", "0.0", "--no-ema"] in [line.split() for line in result.stderr.splitlines()]
    plain = exphil("train --preset quick --show-config")
    lines = [line.split() for line in plain.stdout.splitlines()]
    assert lines[:2] == [["policy.codec", "axis17", "default"], ["policy.backbone", "mlp", "preset", "quick"]]


def test_a_flag_that_would_do_nothing_is_no_flag() -> None:
    result = exphil("train --store s --name n --num-threads 2")
    assert (result.exit_code, "No such option" in result.stderr) == (2, True)


def test_the_data_comes_from_a_store_or_from_replays_and_from_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find_store("s3://bucket/store", None, None, "axis17") == "s3://bucket/store"
    asked: list[Any] = []

    def cached(sources: list[Path], options: Any) -> Path:
        asked.append((sources, options.character, options.codec))
        return tmp_path

    monkeypatch.setattr("ingest.jobs.cached_store.cached_store", cached)
    assert find_store(None, Path("replays"), "falco", "joint") == str(tmp_path)
    assert asked == [([Path("replays")], "falco", "joint")]
    with pytest.raises(ConfigError, match="found neither; give one"):
        find_store(None, None, None, "axis17")
    with pytest.raises(ConfigError, match="found both; give one"):
        find_store("s", Path("replays"), None, "axis17")


def test_eval_measures_one_run(store: Path, runs: Path) -> None:
    result = exphil(f"eval --policy {runs}/one --store {store} --detailed --json --device cpu")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert {"detailed", "criteria"} <= set(report)
    assert "persistence" in result.stderr
    assert "main_x" in result.stderr
    assert max(map(len, result.stderr.splitlines())) <= 100
    assert "2 replays, 188 frames" in exphil(f"eval --policy {runs}/one --store {store}").stdout


def test_eval_compares_runs_on_the_same_replays(store: Path, runs: Path) -> None:
    result = exphil(f"eval --compare {runs}/one {runs}/two --store {store} --split val --json")
    rows = json.loads(result.stdout)["rows"]
    (found,) = json.loads(result.stdout)["differences"]
    assert (found["run"], found["than"]) == ("two", "one")
    assert found["nll"] == {"value": 0.0, "low": 0.0, "high": 0.0, "is_real": False}
    assert [row["run"] for row in rows] == ["one", "two"]
    assert rows[0]["nll"] == rows[1]["nll"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "--policy: names the one run to measure, found none"),
        ("--policy a b", "--policy: names the one run to measure, found also b"),
        ("--compare a", "--compare: takes two runs or more and nothing else, found 1 runs"),
        ("--compare a b --policy c", "found 2 runs and --policy"),
    ],
)
def test_eval_says_which_runs_it_takes(arguments: str, message: str) -> None:
    result = exphil(f"eval --store s {arguments}")
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
