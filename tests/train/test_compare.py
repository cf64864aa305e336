"""``exphil compare``: two tiny backbones, measured once for all tests here; the speed of a step is not measured."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from dataset.errors import ConfigError, ExphilError
from tests.dataset.stats.test_card import VOID, Balance
from tests.train.builders import tiny_config, tiny_splits, write_store
from train.callbacks import Callback
from train.cli import register
from train.compare.page.page import page_html
from train.config.run_config import OptimConfig
from train.data.load import load_data
from train.fit.pace import within_minutes

TINY = "--hidden-sizes 8,8 --batch-size 2 --window-size 10 --epochs 1 --train-character falco --device cpu"
LATENCY = {"step_ms_p50": 0.25, "step_ms_p99": 0.5, "step_frames": 600}


def exphil(line: str) -> Result:
    app = typer.Typer()
    register(app)
    return CliRunner().invoke(app, line.split())


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_store(tmp_path_factory.mktemp("store") / "store", tiny_splits())


@pytest.fixture(scope="module", autouse=True)
def fixed_latency() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.compare.measured.measure_latency", lambda loaded: LATENCY)
        yield


class Drawn(Balance):
    """As ``Balance``, and knows what plots are drawn with."""

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        assert tag in (*VOID, "path", "polygon")


class StopsAfter(Callback):
    """Interrupts a series as Ctrl-C would, once it has seen so many steps of all runs together."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def on_step(self, step: Any) -> None:
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def compared(store: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A comparison of two backbones and seeds, interrupted within its third run of four."""
    runs = tmp_path_factory.mktemp("runs")
    line = f"compare --store {store} --runs {runs} --name tiny --backbones mlp,gru --seeds 2 {TINY} --json"
    stop = StopsAfter(2 * 15 + 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.commands.train.make_callbacks", lambda wandb: [stop])
        stopped = exphil(line)
    assert isinstance(stopped.exception, ExphilError)
    assert "stopped with 2 of 4 runs done" in str(stopped.exception)
    finished = (runs / "compare-tiny" / "mlp-s0" / "config.json").stat().st_mtime_ns
    result = exphil(line)
    assert result.exit_code == 0, result.stderr
    assert (runs / "compare-tiny" / "mlp-s0" / "config.json").stat().st_mtime_ns == finished
    return runs / "compare-tiny", json.loads(result.stdout.splitlines()[-1])


def test_a_stopped_comparison_goes_on_and_ends_as_one_that_was_not(
    compared: tuple[Path, dict[str, Any]], store: Path, tmp_path: Path
) -> None:
    folder, _ = compared
    assert sorted(path.name for path in folder.iterdir()) == [
        "gru-s0",
        "gru-s1",
        "measured",
        "mlp-s0",
        "mlp-s1",
        "outcomes.json",
        "plan.json",
        "report.html",
        "results.json",
    ]
    train = f"train --store {store} --runs {tmp_path} --name whole --backbone mlp --seed 1 {TINY}"
    assert exphil(train).exit_code == 0
    weights = [path / "best.safetensors" for path in (folder / "mlp-s1", tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_rows_hold_the_means_over_seeds_and_the_numbers_of_the_runs(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, told = compared
    assert [(row["backbone"], row["seeds"], row["runs"]) for row in told["rows"]] == [
        ("mlp", 2, ["mlp-s0", "mlp-s1"]),
        ("gru", 2, ["gru-s0", "gru-s1"]),
    ]
    for row in told["rows"]:
        lines = [json.loads((folder / run / "metrics.jsonl").read_text().splitlines()[-1]) for run in row["runs"]]
        vals = [line["val"]["nll"] for line in lines]
        assert row["val_nll"] == pytest.approx(sum(vals) / 2, rel=1e-5)
        assert row["val_nll_spread"] == pytest.approx(abs(vals[0] - vals[1]) / 2**0.5, rel=1e-3)
        assert row["cpu_seconds"] == pytest.approx(sum(line["cpu_seconds"] for line in lines) / 2)
        assert (row["step_ms_p50"], row["step_ms_p99"]) == (0.25, 0.5)
        low, high = row["intervals"]["test"]["nll"]
        assert low < row["test_nll"] < high
    assert [row["label"] for row in told["baselines"]] == ["persistence", "lookup"]
    nll = {(one["first"], one["second"]): one for one in told["differences"] if one["metric"] == "nll"}
    first, second = (row["test_nll"] for row in told["rows"])
    assert nll["mlp", "gru"]["value"] == pytest.approx(first - second)
    spreads = [row["test_nll_spread"] for row in told["rows"]]
    deviation = ((spreads[0] ** 2 + spreads[1] ** 2) / 2) ** 0.5
    assert nll["mlp", "gru"]["high"] - nll["mlp", "gru"]["low"] > 2 * 4.3 * deviation * 0.9  # t of 2 degrees of freedom
    assert f"by ±{deviation:.4f} (standard deviation, 2 degrees of freedom" in told["notes"][-1]


def test_the_page_holds_the_measured_numbers_and_needs_no_network(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, told = compared
    page = (folder / "report.html").read_text()
    Drawn(page)
    assert "compare: 2 variants, 2 seeds each, trained on" in page
    assert "paired 95 % interval over replays and seeds." in page
    for row in told["rows"]:
        assert f"{row['test_nll']:.3f}±{row['test_nll_spread']:.3f}" in page
    assert "By situation" in page
    assert page.count('class="disc"') == 2
    assert "<script" not in page
    assert "http" not in page
    assert str(folder.parent) not in page


def test_the_page_shows_what_failed_and_escapes_it(compared: tuple[Path, dict[str, Any]]) -> None:
    results = json.loads((compared[0] / "results.json").read_text())
    page = page_html({**results, "failed": [{"run": "jamba-s0", "error": "a <b> too many"}]})
    assert "a &lt;b&gt; too many" in page


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("--lr 0.5", "optim.lr of mlp-s0, optim.lr of gru-s0"),
        ("--backbones mlp", "runs (mlp-s0, gru-s0, mlp-s1, gru-s1 then, mlp-s0, mlp-s1 now)"),
    ],
)
def test_another_configuration_under_the_same_name_is_refused(
    compared: tuple[Path, dict[str, Any]], store: Path, change: str, found: str
) -> None:
    runs = compared[0].parent
    said = f"compare --store {store} --runs {runs} --name tiny --seeds 2 {TINY} --backbones mlp,gru"
    result = exphil(
        said.replace(" --backbones mlp,gru", "") + f" {change}" if "backbones" in change else f"{said} {change}"
    )
    assert isinstance(result.exception, ConfigError)
    assert found in str(result.exception)


def test_runs_of_different_codecs_are_set_side_by_side_in_what_means_the_same(
    compared: tuple[Path, dict[str, Any]],
) -> None:
    results = json.loads((compared[0] / "results.json").read_text())
    assert "Across codecs" not in page_html(results)
    codecs = {
        run["run"]: {"policy.codec": codec} for run, codec in zip(results["runs"], ("axis17", "joint") * 2, strict=True)
    }
    page = page_html({**results, "settings": {"shared": {}, "differing": codecs}})
    report = results["runs"][0]["reports"]["test"]
    Drawn(page)
    assert f"<td>{100 * report['accuracy']:.2f}</td><td>" in page[page.index("Across codecs") :]
    assert f"<td>{report['nll']:.3f}</td></tr>" in page
    best = f'<td class="best">{min(row["test_nll"] for row in results["rows"]):.3f}'
    assert (best in page_html(results), best in page) == (True, False)


def test_minutes_become_a_number_of_steps_at_which_the_schedule_ends(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at this clock is half a second after the one before, and it is looked at once a step."""
    looks = count()
    monkeypatch.setattr("train.fit.pace.time", SimpleNamespace(process_time=lambda: next(looks) / 2, perf_counter=None))
    config = tiny_config(optim=OptimConfig(epochs=9, lr=0.01))
    found = within_minutes(config, load_data(store, config), minutes=0.2, device=torch.device("cpu"))
    assert found == replace(config, optim=OptimConfig(epochs=2, lr=0.01, max_steps=24))


def test_one_failing_run_is_recorded_and_stops_no_other(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import train.compare.execute

    real = train.compare.execute.train_run

    def fails(config: Any, *args: Any, **options: Any) -> dict[str, Any]:
        if config.policy.backbone == "lstm":
            raise RuntimeError("out of memory")
        return real(config, *args, **options)

    monkeypatch.setattr("train.compare.execute.train_run", fails)
    line = f"compare --store {store} --runs {tmp_path} --backbones lstm,mlp {TINY} --json"
    result = exphil(line)
    told = json.loads(result.stdout.splitlines()[-1])
    assert result.exit_code == 1
    assert [row["backbone"] for row in told["rows"]] == ["mlp"]
    assert told["failed"] == [{"run": "lstm-s0", "error": "RuntimeError: out of memory"}]
    monkeypatch.setattr("train.compare.execute.train_run", real)
    again = json.loads(exphil(line).stdout.splitlines()[-1])
    assert ([row["backbone"] for row in again["rows"]], again["failed"]) == (["lstm", "mlp"], [])


def test_where_all_runs_fail_alike_the_reason_is_told_once_and_the_name_stays_free(store: Path, tmp_path: Path) -> None:
    line = f"compare --store {store} --runs {tmp_path} --backbones lstm,mlp --no-detailed {TINY}"
    result = exphil(f"{line} --warmup-steps 500")
    assert isinstance(result.exception, ExphilError)
    told = str(result.exception)
    assert "needs a run that ends, found that all 2 failed: --warmup-steps 500: must be below" in told
    assert told.count("--warmup-steps") == 1
    assert "ConfigError" not in told
    assert exphil(line).exit_code == 0


def test_finished_runs_are_folded_and_measured_once(
    compared: tuple[Path, dict[str, Any]], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, told = compared
    for run in ("mlp-s0", "gru-s0"):
        shutil.copytree(folder / run, tmp_path / run)
    line = (
        f"compare {tmp_path}/mlp-s0 {tmp_path}/gru-s0 --store {store} --runs {tmp_path} --name old --json --device cpu"
    )
    result = exphil(line)
    assert result.exit_code == 0, result.exception
    rows = json.loads(result.stdout.splitlines()[-1])["rows"]
    assert [(row["label"], row["runs"]) for row in rows] == [("mlp", ["mlp-s0"]), ("gru", ["gru-s0"])]
    monkeypatch.setattr("train.compare.measured.evaluate_run", None)
    assert json.loads(exphil(line).stdout.splitlines()[-1])["rows"] == rows
    assert told["rows"][0]["parameters"] == rows[0]["parameters"]


def test_runs_play_after_they_were_measured_and_keep_what_they_came_to(
    compared: tuple[Path, dict[str, Any]], store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same comparison goes on with an arena, in which one run fails at first."""
    shutil.copytree(compared[0], tmp_path / "compare-tiny")
    results = {"mlp-s0": -3.0, "mlp-s1": None, "gru-s0": -1.0, "gru-s1": -2.0}

    def play(*arguments: str, say: Any) -> tuple[dict[str, Any], list[str]]:
        asked.append(Path(arguments[1]).name)
        net = results[asked[-1]]
        if net is None:
            raise ExphilError("out of <breath>")
        row = {"net_stocks_per_minute": net, "net_stocks_interval": [net - 0.5, net + 0.25]}
        return {"rows": [row]}, []

    monkeypatch.setattr("train.compare.arena.run_child", play)
    monkeypatch.setattr("train.compare.measured.evaluate_run", None)
    line = f"compare --store {store} --runs {tmp_path} --name tiny --backbones mlp,gru --seeds 2 {TINY} --arena duel"
    asked: list[str] = []
    result = exphil(line)
    assert result.exit_code == 1
    assert asked == ["mlp-s0", "gru-s0", "mlp-s1", "gru-s1"]
    table = {words[0]: words for line in result.stdout.splitlines() if (words := line.split())}
    assert "failed" in table["mlp"]
    assert "-1.50 [-1.9, -1.3]" in " ".join(table["gru"])
    assert "not played: mlp-s1: out of <breath>" in result.stdout
    page = (tmp_path / "compare-tiny" / "report.html").read_text()
    Drawn(page)
    assert '<td colspan="2" class="reason">mlp-s1: out of &lt;breath&gt;</td>' in page
    assert "<td>-1.50±0.71</td><td>-1.85 to -1.32</td>" in page
    assert "Likelihood and play" not in page, "one dot says nothing"

    results["mlp-s1"] = -4.0
    asked.clear()
    result = exphil(f"{line} --json")
    assert (result.exit_code, asked) == (0, ["mlp-s1"])
    told = json.loads(result.stdout.splitlines()[-1])
    assert told["arena"] == {"world": "duel", "games": 32, "seconds": 120.0, "seed": 0}
    assert [row["net_stocks_per_minute"] for row in told["rows"]] == [-3.5, -1.5]
    assert told["nll_rank_correlation"]["runs"] == 4
    value = told["nll_rank_correlation"]["value"]
    assert (
        f"these 4 runs: Spearman's rank correlation of test NLL and net stocks per minute is {value:+.2f}"
        in told["notes"][-1]
    )
    page = (tmp_path / "compare-tiny" / "report.html").read_text()
    Drawn(page)
    assert f"Rank correlation over 4 runs: {value:+.2f}." in page[page.index("Likelihood and play") :]

    assert exphil(f"{line} --games 8").exit_code == 0
    assert len(asked) == 5


def test_other_weights_than_a_runs_best_are_not_folded(compared: tuple[Path, dict[str, Any]], store: Path) -> None:
    runs = f"{compared[0]}/gru-s0 {compared[0]}/mlp-s0/last.safetensors"
    result = exphil(f"compare {runs} --store {store} --runs {compared[0].parent}")
    assert isinstance(result.exception, ConfigError)
    assert "are measured by their best weights, found " in str(result.exception)


def test_runs_of_different_characters_are_set_side_by_side_without_differences(
    compared: tuple[Path, dict[str, Any]], store: Path, tmp_path: Path
) -> None:
    everyone = TINY.replace("--train-character falco", "")
    assert exphil(f"train --store {store} --runs {tmp_path} --name everyone --backbone mlp {everyone}").exit_code == 0
    runs = f"{compared[0]}/gru-s0 {tmp_path}/everyone"
    result = exphil(f"compare {runs} --store {store} --runs {tmp_path} --no-detailed --json --device cpu")
    told = json.loads(result.stdout.splitlines()[-1])
    assert (told["differences"], told["notes"][0][:21]) == ([], "The characters differ")
    assert [row["label"] for row in told["baselines"]] == [
        f"{name}, axis17, delay 0, {who}" for who in ("falco", "any player") for name in ("persistence", "lookup")
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("--backbones mlp,rnn", "--backbones: each of mlp, lstm, gru, mamba, gmlp, sliding_window, jamba at most once"),
        ("--backbones mlp,mlp", "at most once"),
        (
            "--backbones mlp,gru --num-heads 2",
            "--num-heads 2: acts on backbones with attention, found none among mlp, gru",
        ),
        ("--seeds 0", "--seeds: at least 1, found 0"),
        ("--minutes-per-run 1 --epochs 2", "--epochs 2: the minutes decide how long a run is"),
        ("--minutes-per-run 0", "--minutes-per-run: above 0"),
        ("--quick --preset full", "--quick: means --preset quick, found --preset full too"),
        ("--games 3", "--games 3: games are played with --arena WORLD"),
        ("some-run --games 3", "--games 3: games are played with --arena WORLD"),
        ("--arena moon", "--arena moon: every run meets the world's own player, so it must be duel"),
        ("some-run --lr 1", "--lr: say how to train, found finished runs"),
    ],
)
def test_what_cannot_act_is_refused(said: str, reason: str, tmp_path: Path) -> None:
    result = exphil(f"compare --store nowhere --runs {tmp_path} {said}")
    assert isinstance(result.exception, ConfigError)
    assert reason in str(result.exception)
