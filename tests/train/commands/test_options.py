"""Every option of ``exphil train`` does what it is there for: change the training, or leave it exactly as it was."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dataset.codecs.base import Codec
from dataset.codecs.registry import get_codec
from dataset.store.manifest import Manifest
from tests.train.builders import CODEC, FALCO, FOX, sample, tiny_splits, write_store
from train.callbacks import Callback
from train.cli import register


@dataclass(frozen=True)
class Toggle:
    """An option as it is given, and what else is said with and without it."""

    flags: str
    context: str = ""


UNSTEADY = "--lr 2 --lr-schedule constant --warmup-steps 0 --no-ema --no-augment --dropout 0"
"""So that the val NLL also rises."""

EFFECT = {
    "--store": Toggle("--store {other}"),
    "--replays": Toggle("--replays {cached}", context="--no-store"),
    "--preset": Toggle("--preset quick"),
    "--show-config": Toggle("--show-config"),
    "--train-character": Toggle("--train-character fox"),
    "--backbone": Toggle("--backbone lstm"),
    "--hidden-sizes": Toggle("--hidden-sizes 12,12"),
    "--num-layers": Toggle("--num-layers 1"),
    "--num-heads": Toggle("--num-heads 2", context="--backbone sliding_window"),
    "--attention-every": Toggle("--attention-every 2", context="--backbone sliding_window"),
    "--codec": Toggle("--codec joint --store {joint}"),
    "--head": Toggle("--head independent"),
    "--features": Toggle("--features base+speeds"),
    "--action-mode": Toggle("--action-mode one_hot"),
    "--character-mode": Toggle("--character-mode one_hot"),
    "--stage-mode": Toggle("--stage-mode compact"),
    "--dropout": Toggle("--dropout 0.5"),
    "--prev-dropout": Toggle("--prev-dropout 0.5"),
    "--delay": Toggle("--delay 2"),
    "--online-robust": Toggle("--online-robust"),
    "--augment": Toggle("--no-augment"),
    "--max-replays": Toggle("--max-replays 1", context="--store {two}"),
    "--sampling": Toggle("--sampling windows"),
    "--supervise": Toggle("--supervise last", context="--sampling windows"),
    "--burn-in": Toggle("--burn-in 1", context="--sampling windows"),
    "--batch-size": Toggle("--batch-size 1"),
    "--window-size": Toggle("--window-size 8"),
    "--epochs": Toggle("--epochs 2"),
    "--max-steps": Toggle("--max-steps 2"),
    "--lr": Toggle("--lr 0.02"),
    "--lr-schedule": Toggle("--lr-schedule constant"),
    "--warmup-steps": Toggle("--warmup-steps 1"),
    "--weight-decay": Toggle("--weight-decay 0.5"),
    "--max-grad-norm": Toggle("--max-grad-norm 0.001"),
    "--grad-accumulation": Toggle("--grad-accumulation 2"),
    "--precision": Toggle("--precision bf16"),
    "--ema": Toggle("--no-ema"),
    "--ema-decay": Toggle("--ema-decay 0.1"),
    "--early-stopping": Toggle("--early-stopping --patience 1", context=f"--epochs 5 {UNSTEADY}"),
    "--patience": Toggle("--patience 1", context=f"--early-stopping --epochs 5 {UNSTEADY}"),
    "--label-smoothing": Toggle("--label-smoothing 0.2"),
    "--focal-loss": Toggle("--focal-loss"),
    "--focal-gamma": Toggle("--focal-gamma 1", context="--focal-loss"),
    "--button-pos-weight": Toggle("--button-pos-weight 3"),
    "--weight-by": Toggle("--weight-by quality", context="--store {unequal}"),
    "--layer-lr-decay": Toggle("--layer-lr-decay 0.5", context="--init-from {pretrained}/run"),
    "--tolerate-bad-shards": Toggle("--tolerate-bad-shards 1", context="--store {damaged}"),
    "--seed": Toggle("--seed 1"),
    "--init-from": Toggle("--init-from {pretrained}/run"),
    "--resume": Toggle("--resume", context="--name begun"),
}
"""Options that must change the weights, the metrics, or whether there are any."""

WITHOUT = ("--replays", "--resume", "--tolerate-bad-shards")
"""Options without which their context is refused."""

INVARIANT = {
    "--name": Toggle("--name another"),
    "--runs": Toggle("--runs {elsewhere}"),
    "--temporal": Toggle("--temporal"),
    "--device": Toggle("--device cpu"),
    "--compile": Toggle("--compile off"),
    "--num-workers": Toggle("--num-workers 0"),
    "--wandb": Toggle("--wandb"),
    "--json": Toggle("--json"),
}
"""Options that must change neither."""

BASE = "--backbone gru --hidden-sizes 8,8 --batch-size 2 --window-size 10 --epochs 1 --lr 0.05 --train-character falco"


def build_app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


def write_tiny(folder: Path, seed: int, codec: Codec = CODEC, num_train: int = 1) -> Path:
    """Six windows of training a replay, and a val replay; fox plays the other side."""
    train = [sample(f"train{'' if n == 0 else n}", 60, characters=(FALCO, FOX), seed=seed) for n in range(num_train)]
    return write_store(folder, {"train": train, "val": [sample("val", 30, characters=(FALCO, FOX), seed=seed)]}, codec)


def lose_a_shard(store: Path) -> Path:
    """The store with a shard in its manifest that is not there."""
    manifest = Manifest.load(store)
    shards = (*manifest.shards, replace(manifest.shards[0], path="windows/train-000001.tar"))
    counts = {
        name: sum(getattr(shard, of) for shard in shards) for name, of in (("replays", "samples"), ("frames", "frames"))
    }
    replace(manifest, shards=shards, **counts).save(store)
    return store


class Bench:
    """Runs the command on tiny stores, each line once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.places = {
            "cached": write_tiny(folder / "cached", seed=2),
            "damaged": lose_a_shard(write_tiny(folder / "damaged", seed=3)),
            "elsewhere": folder / "elsewhere",
            "joint": write_tiny(folder / "joint", seed=0, codec=get_codec("joint")),
            "other": write_tiny(folder / "other", seed=1),
            "unequal": write_store(folder / "unequal", tiny_splits(num_frames=30)),
            "two": write_tiny(folder / "two", seed=4, num_train=2),
        }
        self.store = write_tiny(folder / "store", seed=0)
        self._count = 0
        self.outcome("--store {other}")
        self.places["pretrained"] = folder / "1"

    def outcome(self, said: str) -> str:
        """A digest of weights and metrics, or the error."""
        self._count += 1
        runs = self.folder / str(self._count)
        said = said.format(**self.places)
        store = "" if "--no-store" in said else f"--store {self.store} "
        line = f"train {store}--name run --runs {runs} {BASE} {said.replace('--no-store', '')}".split()
        name, folder = (line[len(line) - line[::-1].index(flag)] for flag in ("--name", "--runs"))
        if name == "begun":
            self._begin(Path(folder), line)
        result = CliRunner().invoke(build_app(), line)
        return str(result.exception) if result.exception else digest(Path(folder) / name)

    def _begin(self, runs: Path, line: list[str]) -> None:
        CliRunner().invoke(build_app(), [word for word in line if word != "--resume"])
        assert (runs / "begun" / "config.json").is_file()


def digest(run: Path) -> str:
    """Of weights and metrics, without times."""
    if not run.exists():
        return "no run"
    timed = ("frames_per_second", "cpu_seconds", "loader_share")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = json.dumps([{name: line[name] for name in line if name not in timed} for line in lines])
    weights = b"".join((run / f"{which}.safetensors").read_bytes() for which in ("best", "last"))
    return sha256(weights + metrics.encode()).hexdigest()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("train.callbacks.WandbLog", Callback)
        patch.setattr("ingest.jobs.cached_store.cached_store", lambda sources, options: sources[0])
        yield bench


@pytest.fixture(scope="module")
def outcomes() -> dict[str, str]:
    """What each context alone comes to."""
    return {}


def options() -> list[str]:
    """The options of the command as typer knows them, under the name that switches them on."""
    command = typer.main.get_command(build_app()).commands["train"]  # type: ignore[attr-defined]
    return sorted(parameter.opts[0] for parameter in command.params)


def test_every_option_is_listed_once() -> None:
    assert options() == sorted([*EFFECT, *INVARIANT])


@pytest.mark.parametrize("option", [*EFFECT, *INVARIANT])
def test_an_option_does_what_it_is_listed_for(bench: Bench, outcomes: dict[str, str], option: str) -> None:
    toggle = (EFFECT | INVARIANT)[option]
    if toggle.context not in outcomes:
        outcomes[toggle.context] = bench.outcome(toggle.context)
    before, after = outcomes[toggle.context], bench.outcome(f"{toggle.context} {toggle.flags}")
    assert len(after) == 64 or after == "no run", after
    assert (len(before) == 64) == (option not in WITHOUT), before
    assert (before != after) == (option in EFFECT)
