"""Every option of ``exphil compare`` and ``sweep`` changes what is carried out; what settings then do, ``test_flags`` proves."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dataset.reporting.terminal import option_name
from tests.train.builders import tiny_splits, write_store
from tests.train.commands.test_options import EFFECT, INVARIANT, Toggle, build_app, options
from train.commands.compare import ONE_RUN_ONLY

PLANNED = {
    "--arena": Toggle("--arena duel"),
    "--axis": Toggle("window"),
    "--backbones": Toggle("--backbones gru,mamba"),
    "--compile": Toggle("--compile off"),
    "--num-workers": Toggle("--num-workers 2"),
    "--detailed": Toggle("--no-detailed"),
    "--device": Toggle("--device cpu"),
    "--games": Toggle("--games 3", context="--arena duel"),
    "--hidden-sizes": Toggle("--hidden-sizes 16,16"),
    "--minutes-per-run": Toggle("--minutes-per-run 2"),
    "--name": Toggle("--name another"),
    "--quick": Toggle("--quick"),
    "--replays": Toggle("--replays {other}", context="--no-store"),
    "--runs": Toggle("--runs elsewhere"),
    "--seeds": Toggle("--seeds 2"),
    "--values": Toggle("--values 0,4"),
    "--wandb": Toggle("--wandb"),
}
"""Options that these commands have besides train's settings, or that act on more than a run's weights."""

UNPLANNED = ("--json", "--temporal")
"""What leaves the plan as it is."""

SWEPT_OTHERWISE = ("--delay", "--online-robust")


class Carried(Exception):  # noqa: N818 (it is what was asked for, not an error)
    """What would be carried out."""


def remember(plan: Any, folder: Path, *, callbacks: Any, say: Any, **options: Any) -> None:
    told = [type(callback).__name__ for callback in callbacks()]
    raise Carried(repr((dataclasses.asdict(plan), folder, told, options)))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("stores")
    return {name: write_store(folder / name, tiny_splits()) for name in ("store", "other")}


def names(command: str) -> list[str]:
    """Options as they are switched on, and the axis."""
    made = typer.main.get_command(build_app()).commands[command]  # type: ignore[attr-defined]
    return [one.opts[0] if one.opts[0].startswith("-") else f"--{one.opts[0]}" for one in made.params]


CASES = [(command, name) for command in ("compare", "sweep") for name in names(command) if name != "--finished"]


def lines(command: str, name: str) -> tuple[str, str]:
    """What is typed without the option, and with it."""
    toggle = PLANNED.get(name) or (EFFECT | INVARIANT)[name]
    if command == "compare":
        before = f"compare --backbones gru,sliding_window {toggle.context.replace('--backbone sliding_window', '')}"
    else:
        before = f"sweep {'window' if name in SWEPT_OTHERWISE else 'delay'} {toggle.context}"
    before += " --train-character falco" + ("" if "--no-store" in before else " --store {store}")
    before = before.replace("--no-store", "")
    return before, before.replace("delay", toggle.flags) if name == "--axis" else f"{before} {toggle.flags}"


@pytest.mark.parametrize(("command", "name"), CASES)
def test_an_option_changes_what_is_carried_out(
    command: str, name: str, stores: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.compare.execute.carry_out", remember)
    monkeypatch.setattr("ingest.jobs.cached_store.cached_store", lambda sources, options: sources[0])
    monkeypatch.setattr("train.compare.stores.encoded_for", lambda store, codec, features: store)

    def outcome(said: str) -> str:
        words = said.format_map(stores | dict.fromkeys(("two", "unequal", "damaged", "joint"), stores["other"])).split()
        raised = CliRunner().invoke(build_app(), words).exception
        assert isinstance(raised, Carried), raised
        return str(raised)

    before, after = lines(command, name)
    if name == "--replays":
        before += " --replays {store}"
    assert (outcome(before) != outcome(after)) == (name not in UNPLANNED)


def test_the_commands_have_all_options_of_train_but_those_of_one_run() -> None:
    left_out = {option_name(ONE_RUN_ONLY), "--init-from", "--resume", "--show-config"}
    assert set(options()) - set(names("sweep")) == left_out
    assert set(options()) - set(names("compare")) == left_out | {"--backbone", "--temporal"}
