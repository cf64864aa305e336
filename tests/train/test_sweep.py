"""``exphil sweep``: what each axis varies, and one tiny sweep over amounts of data; the speed of a step is not measured."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from dataset.errors import ConfigError
from tests.train.builders import tiny_config, tiny_splits, write_store
from train.cli import register
from train.compare.variants import FEATURES, USUAL, sweep_configs, within
from train.config.run_config import RunConfig

TINY = (
    "--backbone mlp --hidden-sizes 8,8 --batch-size 2 --window-size 10 --epochs 1 --train-character falco --device cpu"
)


def exphil(line: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, line.split())


def varied(axis: str, values: str | None = None, **flags: Any) -> dict[str, RunConfig]:
    return dict(sweep_configs(axis, values, None, flags, seeds=1))


def test_every_axis_varies_its_setting_and_nothing_else() -> None:
    def field(axis: str, part: str, name: str) -> dict[str, Any]:
        return {label: getattr(getattr(config, part), name) for label, config in varied(axis).items()}

    assert field("size", "policy", "hidden_sizes") == {f"width {n}": (n, n) for n in (64, 256, 512)}
    assert field("window", "data", "window_size") == {f"{n} frames": n for n in (30, 60, 120)}
    assert field("delay", "data", "delay") == {f"delay {n}": n for n in (0, 2, 4, 6)}
    assert field("codec", "policy", "codec") == {"axis17": "axis17", "joint": "joint"}
    expected = {**{f"{n} replays": n for n in (8, 16, 32, 64)}, "all replays": None}
    assert field("data", "data", "max_replays") == expected
    chosen = varied("features", "all,base+items+speeds,not augmented")
    assert {label: (config.policy.features, config.data.augment) for label, config in chosen.items()} == {
        "all": ("all", True),
        "base+speeds+items": ("base+speeds+items", True),
        "not augmented": ("all", False),
    }
    assert list(varied("features")) == list(FEATURES)
    assert len(set(varied("features").values())) == len(FEATURES)
    assert varied("window", "30,64", lr=0.5)["64 frames"] == varied("delay", "0,2", lr=0.5)["delay 0"]


def test_seeds_come_one_after_another_from_the_first_on() -> None:
    found = sweep_configs("delay", "0,2", None, {"seed": 5}, seeds=2)
    assert [(label, config.seed) for label, config in found] == [
        ("delay 0", 5),
        ("delay 2", 5),
        ("delay 0", 6),
        ("delay 2", 6),
    ]


@pytest.mark.parametrize(
    ("axis", "values", "flags", "reason"),
    [
        ("depth", None, {}, "sweep 'depth': unknown; use one of size, window, features, delay, codec, data"),
        ("window", "30", {}, "--values: two or more different ones, found 30"),
        ("window", "30,30", {}, "--values: two or more different ones, found 30,30"),
        ("window", "30,long", {}, "--values: whole numbers joined by commas, found 'long'"),
        (
            "features",
            "plain,none",
            {},
            "--values 'none': must be one of plain, .*, or features 'none': must be all, all less",
        ),
        (
            "features",
            "all-items-nana,all-nana-items",
            {},
            "--values: two or more different ones, found all-items-nana,all",
        ),
        ("features", None, {"features": "base"}, "--features: is what sweep features varies, found it given"),
        ("size", "a,b", {}, "--values: whole numbers joined by commas, found 'a'; give e.g. 64,256,512"),
        ("size", "0,64", {}, "--values, width 0: "),
        ("window", "0,64", {}, "--values, 0 frames: "),
        ("size", None, {"lr": -1.0}, "^--lr"),
        ("window", None, {"window_size": 8}, "--window-size: is what sweep window varies, found it given"),
        ("features", None, {"augment": True}, "--augment: is what sweep features varies, found it given"),
    ],
)
def test_what_an_axis_cannot_mean_is_refused(axis: str, values: str | None, flags: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason.replace("?", r"\?")):
        sweep_configs(axis, values, None, flags, seeds=1)


def test_parts_that_a_store_lacks_are_left_out_and_small_ones_are_passed_over_more_often() -> None:
    kept = within(sweep_configs("data", USUAL["data"][0] + ",16,40,64,all", None, {"epochs": 3}, seeds=1), 40)
    assert [(label, config.optim.epochs) for label, config in kept] == [
        ("8 replays", 12),
        ("16 replays", 8),
        ("all replays", 3),
    ]
    with pytest.raises(ConfigError, match="sweep data: needs two or more parts of the train split, found 5 replays"):
        within([("8 replays", tiny_config()), ("all replays", tiny_config())][1:], 5)


def test_a_sweep_over_data_trains_on_parts_and_says_what_they_cannot_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "train.compare.measured.measure_latency", lambda loaded: {"step_ms_p50": 1.0, "step_ms_p99": 2.0}
    )
    store = write_store(tmp_path / "store", tiny_splits(train=4))
    line = f"sweep data --values 1,2,9,all --store {store} --runs {tmp_path} --no-detailed --json {TINY}"
    result = exphil(line)
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout.splitlines()[-1])
    frames = [(row["label"], row["train_replays"], row["train_frames"]) for row in told["rows"]]
    assert [(label, replays) for label, replays, _ in frames] == [
        ("1 replays", 1),
        ("2 replays", 2),
        ("all replays", 4),
    ]
    assert "left out, the train split has 4 replays: 9 replays" in result.stderr
    law = told["law"]
    assert [(point["frames"], point["val_nll"]) for point in law["points"]] == [
        (row["train_frames"], row["val_nll"]) for row in told["rows"]
    ]
    assert [point["replays"] for point in law["extrapolated"]] == pytest.approx([500, 2000])
    assert law["doubt"] == "3 amounts of data fit any law of three numbers; measure at least 4"
    assert law["doubt"] in (tmp_path / "sweep-data-defaults" / "report.html").read_text()


def test_several_processes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.compare.execute.num_ranks", lambda: 2)
    store = write_store(tmp_path / "store", tiny_splits())
    result = exphil(f"sweep delay --values 0,2 --store {store} --runs {tmp_path} {TINY}")
    assert isinstance(result.exception, ConfigError)
    assert "one after another by one process, found 2" in str(result.exception)
    assert not (tmp_path / "sweep-delay-defaults").exists()
