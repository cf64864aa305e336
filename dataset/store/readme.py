"""The store's ``README.md``, which a dataset hub shows as its card.

Its ``configs:`` block says where the Parquet files are, so that the hub does not try to read the window shards. A README that
somebody else wrote is left alone; ours is recognized by its last line.
"""

from pathlib import Path

from dataset.io.atomic import replacing
from dataset.store.manifest import Manifest

HUB_CARD_NAME = "README.md"
MARK = "<!-- written by exphil; without this line exphil leaves the file alone -->"

_CONFIG = """- config_name: {name}
  data_files:
  - split: data
    path: {path}
"""

_CARD = """---
pretty_name: Frames of Super Smash Bros. Melee
tags:
- slippi
- imitation-learning
configs:
{configs}---

# Frames of {replays:,} Melee games

{frames:,} frames ({hours:,.1f} hours at 60 frames a second) of games of two players, taken from Slippi replays by exphil.

- `frames/*.parquet`: one row a frame, both players side by side (`a_…` on the lower port, `b_…` on the higher). Row *t* holds
  the state after the controller of the same row has acted.
- `replays.parquet`: one row for every file looked at: players, stage, how it ended, quality, split, or why it was left out.
- `windows/*.tar`: the same games encoded for training, split by match; read them with exphil.
- `manifest.json`: SHA-256 of every file. Data digest `{digest}`.

Before publishing leave out `salt`: with it the hashes of names and codes can be guessed back.

{mark}
"""


def hub_card(manifest: Manifest) -> str:
    """The text for a store."""
    listed = [("replays", "replays.parquet")]
    if manifest.of_kind("frames"):
        listed.insert(0, ("frames", "frames/*.parquet"))
    return _CARD.format(
        configs="".join(_CONFIG.format(name=name, path=path) for name, path in listed),
        replays=manifest.replays,
        frames=manifest.frames,
        hours=manifest.frames / 216_000,
        digest=manifest.digest,
        mark=MARK,
    )


def write_hub_card(folder: Path, manifest: Manifest) -> None:
    """Write or renew the card, unless the one that is there is somebody's own."""
    path = folder / HUB_CARD_NAME
    found = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
    text = hub_card(manifest)
    if found == text or (found is not None and MARK not in found):
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
