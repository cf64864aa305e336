"""A run as a model repository on the hub: what plays it and what says how well it does, never what resumes it.

A push adds a card, the ``README.md`` of the repository, unless somebody wrote one. A pull adds to a folder and changes nothing
there. ``config.json``, by which a run is known, goes last in either direction, after everything else is whole.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.errors import CheckpointError, ConfigError
from dataset.io.atomic import sha256_of
from dataset.io.hub import HubRepo
from dataset.io.remote_folder import Copied
from dataset.io.runs import find_run
from dataset.reporting.terminal import command_line
from dataset.store.hub_card import HUB_CARD_NAME, MARK
from train.runs.run_folder import GRAPH, LOOKUP, METRICS, PAGE, features_of, load_metrics, load_record, reading

WEIGHTS, RECORD = "best.safetensors", "config.json"

FILES = (WEIGHTS, GRAPH, METRICS, LOOKUP, PAGE)
"""What is pushed, where it exists; the record follows."""

CARD_ROWS = (
    ("NLL, nats per frame", "nll"),
    ("accuracy", "accuracy"),
    ("change frames: NLL", "change_nll"),
    ("change frames: accuracy", "change_accuracy"),
    ("change frames: whole controller right", "change_exact"),
)

CARD = """---
tags:
- slippi
- imitation-learning
- super-smash-bros-melee
---

# {name}: a policy that plays Melee

A `{backbone}` of {parameters:,} parameters, trained by exphil to imitate {whom} in Super Smash Bros. Melee: game state in, a
controller out, every 1/60 s, at a delay of {delay} frames.

| on {val_replays} val replays, epoch {epoch} of training | persistence | this policy |
|---|---|---|
{rows}

Persistence repeats the controller of the frame before; change frames are those on which it is wrong. The weights were chosen by
these val replays, so measure on your own: `exphil eval --policy runs/{folder} --replays YOUR_REPLAYS`.

## Play it

```sh
exphil hub pull runs/{folder} --repo {repo}
exphil play --policy runs/{folder} --dolphin DOLPHIN --iso melee.iso
```

## What it fits

| | |
|---|---|
| trained on | {replays:,} replays, {frames:,} frames |
| data digest | `{data}` |
| encoder | `{encoder}`, features `{features}` |
| codec | `{codec}`, `{codec_digest}` |
| exphil | {exphil} |

exphil refuses to play it with another encoder or codec.

{mark}
"""


def push_run(run: str, away: HubRepo, *, is_dry: bool = False) -> Copied:
    """Send a run with a card that says what it is.

    Raises:
        CheckpointError: there is no such run, it has no weights yet, or its graph was exported from other weights.
        ExphilError: the hub refuses.
    """
    folder, weights = find_run(run)
    if weights.name != WEIGHTS:
        raise CheckpointError(f"run {run}: is pushed with its {WEIGHTS}, found {weights.name}; give the run's folder")
    record = load_record(folder)
    _require_whole(folder, run)
    files = [name for name in FILES if (folder / name).is_file()]
    with tempfile.TemporaryDirectory(prefix="exphil-card-") as staged:
        for name in (*files, RECORD):
            (Path(staged) / name).symlink_to((folder / name).absolute())
        (Path(staged) / HUB_CARD_NAME).write_text(run_card(folder, away.repo, record), encoding="utf-8")
        done = Copied()
        for part in ([*files, HUB_CARD_NAME], [RECORD]):
            done += away.send(Path(staged), part, is_dry=is_dry)
        if not is_dry:
            away.check(Path(staged), [*files, HUB_CARD_NAME, RECORD])
    return done


def pull_run(folder: Path, away: HubRepo, *, is_dry: bool = False) -> Copied:
    """Fetch a run into a folder of its own.

    Raises:
        ConfigError: the repository holds no run.
        CheckpointError: the run is not for this exphil.
        ExphilError: the hub refuses, the folder holds another run, or a file differs from the listing.
    """
    there = [name for name in (*FILES, HUB_CARD_NAME) if name in away.listed()]
    if RECORD not in away.listed() or WEIGHTS not in there:
        raise ConfigError(
            f"{away.name}: a run holds {RECORD} and {WEIGHTS}, found no such files; name the run's --repo"
        )
    if (folder / RECORD).is_file():
        held = [name for name in there if (folder / name).is_file()]
        away.require_same(folder, [RECORD, *held], "a pull changes no run that is here: give a folder of another name")
    done = Copied()
    for part in (there, [RECORD]):
        done += away.fetch(folder, part, is_dry=is_dry)
        if not is_dry:
            away.check(folder, part)
    if not is_dry:
        load_record(folder)
    return done


def _require_whole(folder: Path, run: str) -> None:
    """Refuse a run without the figures for its card, and a graph that play would refuse."""
    for name in (WEIGHTS, METRICS):
        if not (folder / name).is_file():
            raise CheckpointError(f"run {run}: must have finished an epoch, found no {name}; train it first")
    graph = folder / GRAPH
    # The graph's metadata hold the digest as plain text, so no ONNX library is needed to find it.
    if graph.is_file() and sha256_of(folder / WEIGHTS).encode() not in graph.read_bytes():
        raise CheckpointError(
            f"{graph}: must be exported from {WEIGHTS}, found other weights; run '{command_line('export', run)}' or delete it"
        )


def run_card(folder: Path, repo: str, record: Mapping[str, Any]) -> str:
    """The run's own ``README.md`` if somebody wrote one, else a card with the val figures of the best epoch."""
    path = folder / HUB_CARD_NAME
    own = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else MARK
    if MARK not in own:
        return own
    with reading(folder / METRICS):
        best = [epoch for epoch in load_metrics(folder) if epoch["is_best"]][-1]
        return _card(folder, repo, record, best)


def _card(folder: Path, repo: str, record: Mapping[str, Any], best: Mapping[str, Any]) -> str:
    name, val, config, data = folder.resolve().name, best["val"], record["config"], record["data"]
    rows = (f"| {label} | {val['persistence'][key]:.4f} | {val[key]:.4f} |" for label, key in CARD_ROWS)
    return CARD.format(
        name=name,
        folder=name.replace(" ", "-"),
        repo=repo,
        backbone=config["policy"]["backbone"],
        parameters=record["parameters"],
        whom=config["data"]["character"] or "every player",
        delay=config["data"]["delay"],
        val_replays=data["val"]["replays"],
        epoch=best["epoch"] + 1,
        rows="\n".join(rows),
        replays=data["train"]["replays"],
        frames=data["train"]["frames"],
        data=data["manifest_digest"],
        encoder=record["encoder_digest"],
        features=features_of(record),
        codec=record["codec"],
        codec_digest=record["codec_digest"],
        exphil=record["versions"]["exphil"],
        mark=MARK,
    )
