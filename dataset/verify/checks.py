"""What a check is, and the checks of a store that need no pass over its shards; nothing here reads a file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset.codecs.base import Codec
from dataset.features.align import MIN_ONSETS, Leak
from dataset.features.layout import encoder_digest
from dataset.melee.controller import NEUTRAL
from dataset.melee.ids import character_from_name
from dataset.schema import SCHEMA_VERSION, SIDES
from dataset.store.manifest import SPLITS, Manifest, split_of
from dataset.store.replay_table import ReplayRow, left_out, rows_by_shard
from dataset.verify.frame_audit import Faults

_WORDS = {"None": "any", "False": "no", "True": "yes"}
"""How a filter's setting is shown."""


@dataclass(frozen=True)
class Check:
    """One claim and whether it holds."""

    name: str
    ok: bool
    detail: str
    """What was found; the first fault if it fails."""
    is_warning: bool = False
    """Whether it holds only as far as the store has enough to tell."""


@dataclass(frozen=True)
class Verdict:
    """All checks of one store."""

    checks: tuple[Check, ...]
    leak: Leak

    @property
    def ok(self) -> bool:
        """Whether every check holds."""
        return all(check.ok for check in self.checks)


def fault_check(name: str, faults: Faults, what: str, good: str) -> Check:
    """A check that holds where there are no ``faults`` of kind ``what``."""
    return Check(name, not faults.count, f"{faults.count:,} {what}, first: {faults.first}" if faults.count else good)


def version_check(manifest: Manifest, codec: Codec | None) -> Check:
    """Schema, encoder and codec of the store are those of this exphil; ``codec`` is ``None`` if it is unknown here."""
    here = {
        "schema": (manifest.schema_version, SCHEMA_VERSION),
        f"encoder of features {manifest.features}": (manifest.encoder_digest, encoder_digest(manifest.features)),
        f"codec {manifest.codec}": (manifest.codec_digest, codec.digest if codec else "unknown"),
    }
    other = [f"{what} is {found}, this exphil's is {ours}" for what, (found, ours) in here.items() if found != ours]
    return Check(
        "versions", not other, "; ".join(other) or ", ".join(f"{what} {ours}" for what, (_, ours) in here.items())
    )


def replay_check(manifest: Manifest, rows: list[ReplayRow], kept: Sequence[ReplayRow] = ()) -> Check:
    """The table of replays against the manifest: totals, digest, and every shard's share.

    ``kept`` are the rows whose frames are stored though they were not let in: only frame shards hold them.
    """
    faults = Faults()
    left = left_out(rows, manifest.where)
    digest = manifest.data_digest(rows, left)
    frames = sum(row["frames"] for row in rows)
    for what, found, listed in (
        ("replays", len(rows), manifest.replays),
        ("different ids", len({row["id"] for row in rows}), manifest.replays),
        ("frames", frames, manifest.frames),
        ("replays kept beside", len(kept), manifest.kept_replays),
        ("frames kept beside", sum(row["frames"] for row in kept), manifest.kept_frames),
        ("replays left out of windows", len(left), manifest.left_replays),
        ("frames left out of windows", sum(left.values()), manifest.left_frames),
        ("data digest", digest, manifest.digest),
    ):
        faults.add(int(found != listed), f"{what} {found}, the manifest says {listed}")
    _count_shards(manifest, rows, kept, faults)
    for split in SPLITS:
        listed = sum(shard.samples for shard in manifest.of_kind("windows", split))
        expected = sum(row["split"] == split and row["id"] not in left for row in rows)
        faults.add(int(listed != expected), f"{split} shards list {listed} samples, the table has {expected} replays")
    return fault_check(
        "replays", faults, "contradictions", f"{len(rows):,} replays, {frames:,} frames, digest {digest}"
    )


def _count_shards(manifest: Manifest, rows: list[ReplayRow], kept: Sequence[ReplayRow], faults: Faults) -> None:
    held = {
        path: (len(members), sum(row["frames"] for row in members))
        for path, members in rows_by_shard([*rows, *kept]).items()
    }
    for shard in manifest.of_kind("frames"):
        found = held.pop(shard.path, (0, 0))
        faults.add(
            int(found != (shard.samples, shard.frames)),
            f"{shard.path} holds {found[0]} replays of {found[1]} frames, the manifest says {shard.samples} of {shard.frames}",
        )
    faults.add(len(held), f"replays lie in {', '.join(held)}, which the manifest does not list")


def split_check(manifest: Manifest, rows: list[ReplayRow]) -> Check:
    """No replay and no match in two splits, and each where the rule puts it."""
    faults = Faults()
    for what, keys in (("replay", "id"), ("match", "match_id")):
        pairs = {(row[keys], row["split"]) for row in rows if row[keys]}
        for key, count in Counter(key for key, _ in pairs).items():
            faults.add(int(count > 1), f"{what} {key} is in {count} splits")
    for row in rows:
        rule = split_of(row["match_id"], row["id"], manifest.split_seed)
        faults.add(int(row["split"] != rule), f"replay {row['id']} is in {row['split']}, the rule says {rule}")
    shares = Counter(row["split"] for row in rows)
    good = ", ".join(f"{split} {shares[split]}" for split in SPLITS)
    return fault_check("splits", faults, "replays out of place", good)


def filter_check(manifest: Manifest, rows: list[ReplayRow]) -> Check:
    """Every replay let in passes the filters that the manifest says all have passed."""
    faults, filters = Faults(), manifest.filters
    shortest, name = filters.get("min_frames", 0), filters.get("character")
    character = None if name is None else character_from_name(name).internal
    for row in rows:
        kinds, picked = ([row[f"{what}_{side}"] for side in SIDES] for what in ("type", "character"))
        where = f"replay {row['id']}"
        faults.add(
            int(row["frames"] < shortest), f"{where} has {row['frames']} frames, the filter says {shortest} or more"
        )
        is_cpu_in = kinds != ["human", "human"] and not filters.get("include_cpu", False)
        faults.add(int(is_cpu_in), f"{where} has a CPU player, the filter lets none in")
        is_absent = character is not None and character not in picked
        faults.add(int(is_absent), f"{where} has no {name}, the filter says one player picked it")
    settings = ", ".join(
        f"{key.replace('_', ' ')} {_WORDS.get(str(value), value)}" for key, value in sorted(filters.items())
    )
    left = (
        f"; where {manifest.where!r} keeps {manifest.left_replays:,} replays out of windows" if manifest.where else ""
    )
    return fault_check("filters", faults, "replays let in against the filters", settings + left)


def codec_check(codec: Codec) -> Check:
    """Every class of every component decodes to a controller that encodes to the same class."""
    faults = Faults()
    neutral = codec.encode(NEUTRAL[None])
    for column, (component, size) in enumerate(codec.components):
        classes = np.repeat(neutral, size, axis=0)
        classes[:, column] = np.arange(size)
        lost = np.flatnonzero(codec.encode(codec.decode(classes))[:, column] != np.arange(size))
        faults.add(len(lost), f"{component} class {lost[:1].tolist()}")
    total = sum(size for _, size in codec.components)
    return fault_check(
        "codec", faults, "classes that do not come back", f"{codec.name}: all {total} classes round-trip"
    )


def leak_check(leak: Leak) -> Check:
    """States and targets are in step; a warning where there are too few onsets to tell."""
    found = f"of {leak.onsets:,} jump onsets {leak.own_row:.1%} show the jump in their own row, {leak.row_before:.2%} before"
    verdicts = {
        "ok": found,
        "failed": f"{found}; needs at least 40% and at most 5%: states and targets are out of step",
        "insufficient": f"{found}; too few to tell, needs {MIN_ONSETS}: ingest more replays",
    }
    return Check("leak", leak.status != "failed", verdicts[leak.status], is_warning=leak.status == "insufficient")
