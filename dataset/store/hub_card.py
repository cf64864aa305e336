"""The ``README.md`` of a store, which a dataset hub shows as its card."""

from pathlib import Path

from dataset.io.atomic import replacing
from dataset.schema import COLUMNS
from dataset.store.manifest import Manifest

HUB_CARD_NAME = "README.md"
MARK = "<!-- written by exphil; without this line exphil leaves the file alone -->"

_CONFIG = """- config_name: {name}
  data_files:
  - split: data
    path: {path}
"""

_FEATURES = """dataset_info:
- config_name: frames
  features:
"""

_CARD = """---
pretty_name: Frames of Super Smash Bros. Melee
tags:
- slippi
- imitation-learning
configs:
{configs}{features}---

# Frames of {replays:,} Melee games

{frames:,} frames ({hours:,.1f} hours at 60 frames per second) of games of two players, taken from Slippi replays by exphil.

- `frames/*.parquet`: one row per frame, both players side by side (`a_…` on the lower port, `b_…` on the higher). Row *t* holds
  the state after the controller of the same row has acted.
- `replays.parquet`: one row for every file looked at: players, stage, how it ended, quality, split, or why it was left out.
- `windows/*.tar`: the same games encoded for training, split by match; read them with exphil.
- `manifest.json`: SHA-256 of every file. Data digest `{digest}`.

Before publishing, leave out `salt`: whoever has it can guess names and codes from their hashes.

{mark}
"""


def hub_card(manifest: Manifest) -> str:
    """The text of a store's ``README.md``, which a dataset hub shows as its card.

    Its ``configs:`` block says where the Parquet files are, so that the hub does not try to read the window shards, and its
    ``features:`` which columns they have, because the hub would take those of the first file for all.
    """
    listed, features = [("replays", "replays.parquet")], ""
    if manifest.of_kind("frames"):
        listed.insert(0, ("frames", "frames/*.parquet"))
        types = {"replay": "string", **{column.name: column.dtype for column in COLUMNS}}
        features = _FEATURES + "".join(f"  - {{name: {name}, dtype: {dtype}}}\n" for name, dtype in types.items())
    return _CARD.format(
        configs="".join(_CONFIG.format(name=name, path=path) for name, path in listed),
        features=features,
        replays=manifest.replays,
        frames=manifest.frames,
        hours=manifest.frames / 216_000,
        digest=manifest.digest,
        mark=MARK,
    )


def write_hub_card(folder: Path, manifest: Manifest) -> None:
    """Write the card or bring it up to date, unless somebody else wrote the one that is there: ours end in ``MARK``."""
    path = folder / HUB_CARD_NAME
    found = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    text = hub_card(manifest)
    if found == text or (found is not None and MARK not in found):
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
