"""Every option of ``exphil eval`` and ``export`` does what it is there for: change what is found, or leave it as it was."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.train.builders import tiny_config, tiny_splits, write_store
from tests.train.commands.test_options import Toggle, build_app, lose_a_shard
from train.fit.train_run import train_run

EFFECT = {
    ("eval", "--policy"): Toggle("--policy two --store {store}"),
    ("eval", "--compare"): Toggle("--compare one two --store {store}"),
    ("eval", "--store"): Toggle("--store {other}", context="--policy one"),
    ("eval", "--replays"): Toggle("--replays {other}", context="--policy one"),
    ("eval", "--split"): Toggle("--split val", context="--policy one --store {store}"),
    ("eval", "--allow-seen"): Toggle("--allow-seen", context="--policy one --store {store} --split all"),
    ("eval", "--tolerate-bad-shards"): Toggle(
        "--tolerate-bad-shards 1", context="--policy one --store {damaged} --split all --allow-seen"
    ),
    ("eval", "--detailed"): Toggle("--detailed", context="--policy one --store {store}"),
    ("export", "--int8"): Toggle("--int8", context="one"),
    ("export", "--store"): Toggle("--store {store}", context="one"),
    ("export", "--split"): Toggle("--split val", context="one --store {store}"),
    ("export", "--umi"): Toggle("--umi entry.zip", context="one"),
    ("export", "--entry-name"): Toggle("--entry-name Mine", context="one --umi entry.zip"),
    ("export", "--character"): Toggle("--character fox", context="one --umi entry.zip"),
}
"""Options that change what is found, or without which it is refused."""

WITHOUT = ("--store", "--replays", "--allow-seen", "--tolerate-bad-shards")
"""Options of eval without which their context is refused."""

INVARIANT = {
    ("eval", "--device"): Toggle("--device cpu", context="--policy one --store {store}"),
}

SAID = {("eval", "--runs"), ("eval", "--json"), ("export", "--run"), ("export", "--json")}
"""Arguments that the others cannot do without here."""

ELSEWHERE = {("export", "--check")}
"""Toggled in ``tests/play/umi/test_entry.py``, where an entry is there to be checked."""

TIMED = ("seconds", "seconds_per_million_frames", "cpu_seconds_per_million_frames", "cpu_seconds")


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("measured")
    places = {name: write_store(folder / name, tiny_splits()) for name in ("store", "damaged")}
    places["other"] = write_store(folder / "other", tiny_splits(test=1, val=1, train=0))
    lose_a_shard(places["damaged"])
    for seed, name in enumerate(("one", "two")):
        train_run(replace(tiny_config(), seed=seed), places["store"], name, runs=folder / "runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("ingest.jobs.cached_store.cached_store", lambda sources, options: sources[0])
        patch.setattr("train.export.export.CHECKED_FRAMES", 30)
        yield places


@cache
def outcome(line: str) -> str:
    """What is found, without times, or the error."""
    result = CliRunner().invoke(build_app(), [*line.split(), "--json"])
    if result.exception is not None:
        return f"error: {result.exception}"
    return json.dumps(timeless(json.loads(result.stdout.splitlines()[-1])))


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: timeless(part) for name, part in value.items() if name not in TIMED}
    return [timeless(part) for part in value] if isinstance(value, list) else value


def test_every_option_is_listed_once() -> None:
    commands = typer.main.get_command(build_app()).commands  # type: ignore[attr-defined]
    found = {
        (name, one.opts[0] if one.opts[0].startswith("-") else f"--{one.opts[0]}")
        for name in ("eval", "export")
        for one in commands[name].params
    }
    assert found == {*EFFECT, *INVARIANT, *SAID, *ELSEWHERE}


@pytest.mark.parametrize(("command", "name"), [*EFFECT, *INVARIANT])
def test_an_option_does_what_it_is_listed_for(places: dict[str, Path], command: str, name: str) -> None:
    toggle = (EFFECT | INVARIANT)[command, name]
    without, found = (f"{command} {said}" for said in (toggle.context, f"{toggle.context} {toggle.flags}"))
    if not toggle.context:
        without = "eval --policy one --store {store}"
    before, after = (outcome(line.format_map(places)) for line in (without, found))
    assert not after.startswith("error")
    assert before.startswith("error") == (name in WITHOUT and command == "eval")
    assert (before != after) == ((command, name) in EFFECT)


def test_a_named_checkpoint_is_measured_not_the_best(places: dict[str, Path]) -> None:
    shutil.copytree("runs/one", "runs/mixed")
    shutil.copy("runs/two/last.safetensors", "runs/mixed/last.safetensors")
    best, last, two = (
        json.loads(outcome(f"eval --policy {run} --store {places['store']}"))["nll"]
        for run in ("mixed", "runs/mixed/last.safetensors", "runs/two/last.safetensors")
    )
    assert last == two != best
