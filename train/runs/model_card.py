"""The ``README.md`` of a published run: whom it imitates, what was measured beside persistence, and how to play it.

In: the run's ``config.json`` and the lines of its ``metrics.jsonl``. Out: Markdown for a model hub. The surprise: nothing is
measured here; the figures are those of the epoch whose weights were kept, on the val split by which they were chosen.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from dataset.store.manifest import MARK
from train.run_folder import features_of

_ROWS = (
    ("NLL, nats a frame", "nll"),
    ("accuracy", "accuracy"),
    ("change frames: NLL", "change_nll"),
    ("change frames: accuracy", "change_accuracy"),
    ("change frames: whole controller right", "change_exact"),
)

_CARD = """---
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


def model_card(name: str, repo: str, record: Mapping[str, Any], epochs: Iterable[Mapping[str, Any]]) -> str:
    """The text for a run.

    Args:
        name: of the run.
        repo: where it is published.
        record: its ``config.json``.
        epochs: the lines of its ``metrics.jsonl``, one of which is the best.
    """
    best = [epoch for epoch in epochs if epoch["is_best"]][-1]
    val, config, data = best["val"], record["config"], record["data"]
    rows = (f"| {label} | {val['persistence'][key]:.4f} | {val[key]:.4f} |" for label, key in _ROWS)
    return _CARD.format(
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
