"""A store opened for reading, from a folder or a URL: polars frames, numpy columns, encoded samples.

Only what the manifest lists is read. A window shard whose bytes have another hash than the manifest says is refused before its
first sample, because a truncated or flipped shard would otherwise pass unnoticed.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dataset.codecs.registry import CODECS, get_codec
from dataset.errors import ConfigError, SchemaError, ShardError
from dataset.features.layout import encoder_digest
from dataset.io.fetch import Patience
from dataset.io.prefetch import in_advance
from dataset.melee.ids import character_from_name
from dataset.reporting.terminal import command_line
from dataset.schema import SCHEMA_VERSION
from dataset.store.frame_table import columns_from_table, read_replays, require_frame_shard, scan_frames
from dataset.store.location import open_files
from dataset.store.manifest import SPLITS, Manifest, ShardInfo
from dataset.store.replay_table import all_rows, scan_replays
from dataset.stream.bank import Bank
from dataset.stream.sampler import Batch
from dataset.stream.window_shards import Packed, Sample, read_about, read_packed, unpack
from dataset.stream.windows import Windows


class Store:
    """A store, read only."""

    def __init__(self, path: Path | str, *, tolerate_bad_shards: int = 0, patience: Patience | None = None) -> None:
        """Open a store.

        Args:
            path: its folder, or a URL that fsspec knows (``s3://``, ``https://``, ``memory://`` …).
            tolerate_bad_shards: window shards that may be skipped; they are counted in ``skipped``.
            patience: how long transfers are tried; only a URL needs any.

        Raises:
            SchemaError: there is no manifest, it contradicts itself, or it is of another version than this exphil.
            ConfigError: no backend reads the URL, or the number to tolerate is negative.
        """
        if tolerate_bad_shards < 0:
            raise ConfigError(f"--tolerate-bad-shards: 0 or more shards, found {tolerate_bad_shards}; 0 skips none")
        self._files = open_files(path, patience)
        self.path: Path | str = self._files.path
        self.manifest = self._files.manifest()
        self.tolerate_bad_shards = tolerate_bad_shards
        self.skipped: dict[str, str] = {}
        """Why each window shard was skipped, by its path; a shard once skipped stays so."""
        _check_versions(self.manifest, self.path)
        _check_counts(self.manifest, self.path)

    def replays(self) -> pl.LazyFrame:
        """One row for every file ever looked at (``dataset.store.replay_table.REPLAY_SCHEMA``).

        A column that came after the store was written is null.
        """
        return scan_replays(self._files.replays(self.manifest))

    def frames(self, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """All rows of the frame table, in order within each replay; ``replay`` is the id.

        What a replay's Slippi version does not record is null. Games that were not let in but kept (``exphil ingest --keep-all``)
        are among the rows; ``ok_frames`` leaves them out.

        From a URL all frame shards are fetched first; the cache must be able to hold them at once.
        """
        shards = self._frame_shards()
        paths = self._files.paths(shards)
        frames = scan_frames([require_frame_shard(path, one) for path, one in zip(paths, shards, strict=True)])
        return frames if columns is None else frames.select(columns)

    def ok_frames(self, columns: Sequence[str]) -> pl.LazyFrame:
        """The given columns of every frame of every game with status ``ok``, in order within each."""
        if not self.manifest.kept_frames:
            return self.frames(columns)
        games = self.replays().filter(pl.col("status") == "ok").select(replay="id")
        kept = self.frames(sorted({"replay", *columns})).join(games, on="replay", how="semi", maintain_order="left")
        return kept.select(columns)

    def samples(
        self, split: Literal["train", "val", "test", "all"], ids: Collection[str] | None = None
    ) -> Iterator[Sample]:
        """Encoded replays of a split, shard by shard, only those in ``ids`` if given.

        Raises:
            ShardError: a shard is not the one the manifest lists, and no more may be skipped; raised before any of its
                samples.
        """
        codec = get_codec(self.manifest.codec)
        for packed in self.packed(split, ids):
            yield unpack(*packed, codec)

    def packed(
        self, split: Literal["train", "val", "test", "all"], ids: Collection[str] | None = None
    ) -> Iterator[Packed]:
        """The same replays as ``samples``, not yet decoded, which is how a ``dataset.stream.bank.Bank`` keeps them."""
        for _, data in self.usable_shards(self.manifest.of_kind("windows", None if split == "all" else split)):
            for packed in read_packed(data):
                if ids is None or read_about(packed.about).id in ids:
                    yield packed

    def windows(
        self,
        split: Literal["train", "val", "test", "all"] = "train",
        *,
        window: int = 60,
        batch_size: int = 256,
        character: str | None = None,
        delay: int = 0,
        burn_in: int = 0,
        seed: int = 0,
    ) -> Iterator[Batch]:
        """One shuffled epoch of windows as numpy batches, every frame to be predicted once; for notebooks.

        Args:
            split: whose replays.
            window: frames in a window.
            batch_size: windows in a batch.
            character: whose players are imitated; ``None``: all players.
            delay: frames between seeing and acting.
            burn_in: frames at the start of a window that are seen and not predicted.
            seed: of the order.
        """
        who = None if character is None else character_from_name(character).internal
        bank = Bank(self.packed(split), who, codec=get_codec(self.manifest.codec))
        yield from Windows(bank, rows=batch_size, window=window, delay=delay, burn_in=burn_in, seed=seed).batches(0)

    def usable_shards(self, shards: Iterable[ShardInfo]) -> Iterator[tuple[ShardInfo, bytes]]:
        """Window shards with their checked bytes, in the order given; those of a URL are fetched ahead.

        Raises:
            ShardError: a shard is bad, and no more may be skipped.
        """
        wanted = [shard for shard in shards if shard.path not in self.skipped]
        results = in_advance(self.shard_bytes, wanted, self._files.ahead)
        for shard, result in zip(wanted, results, strict=True):
            try:
                data = result()
            except ShardError as error:
                if len(self.skipped.keys() | {shard.path}) > self.tolerate_bad_shards:
                    raise
                self.skipped[shard.path] = str(error)
            else:
                yield shard, data

    def shard_bytes(self, shard: ShardInfo) -> bytes:
        """The bytes of a window shard, checked against the manifest: size, SHA-256, samples and frames.

        Raises:
            ShardError: they are others, or cannot be had.
        """
        data = self._files.read(shard)
        try:
            held = [read_about(packed.about) for packed in read_packed(data)]
        except ShardError as error:
            raise ShardError(f"shard {shard.path}: {error}") from error
        frames = sum(about.num_frames for about in held)
        if (len(held), frames) != (shard.samples, shard.frames):
            raise ShardError(
                f"shard {shard.path}: the manifest lists {shard.samples} samples of {shard.frames} frames, found {len(held)} of "
                f"{frames} in the very bytes it lists; run 'exphil encode' where the store was made"
            )
        return data

    def shard_path(self, shard: ShardInfo) -> Path:
        """A file to read a shard from; for a URL fetched, verified and kept while this process lives."""
        return self._files.paths([shard])[0]

    def columns(self, replay_id: str) -> dict[str, NDArray[np.generic]]:
        """Frame-table columns of one replay; those that it does not record are absent, single nulls are zeros."""
        found = all_rows(self.replays().filter((pl.col("id") == replay_id) & pl.col("shard").is_not_null()))
        if not found:
            raise ConfigError(
                f"replay '{replay_id}': must be the id of an ingested replay of {self.path}, found none; "
                f"list them with '{command_line('stats', '--store', self.path, '--sql', 'SELECT id FROM replays')}'"
            )
        row = found[0]
        shard = next((shard for shard in self._frame_shards() if shard.path == row["shard"]), None)
        if shard is None:
            raise SchemaError(
                f"replay {replay_id}: must lie in a frame shard that the manifest of {self.path} lists, found "
                f"{row['shard'][:80]!a}; copy the store again or run 'exphil ingest --rebuild'"
            )
        ((_, table),) = read_replays(require_frame_shard(self.shard_path(shard), shard), [row])
        return columns_from_table(table)

    def _frame_shards(self) -> list[ShardInfo]:
        shards = self.manifest.of_kind("frames")
        if not shards:
            found = "window shards only; take the whole store" if self.manifest.replays else "none; ingest some first"
            raise SchemaError(f"store {self.path}: the frame table needs at least one replay, found {found}")
        return shards


def _check_versions(manifest: Manifest, path: Path | str) -> None:
    codec = CODECS.get(manifest.codec)
    checks = (
        ("schema version", manifest.schema_version, SCHEMA_VERSION, "ingest --rebuild"),
        ("encoder", manifest.encoder_digest, encoder_digest(manifest.features), "encode"),
        (f"codec '{manifest.codec}'", manifest.codec_digest, "none" if codec is None else codec.digest, "encode"),
    )
    for what, found, here, command in checks:
        if found != here:
            raise SchemaError(
                f"store {path}: {what} must be {here}, the one of this exphil, found {found}; "
                f"run '{command_line(*command.split(), '--store', path)}'"
            )


def _check_counts(manifest: Manifest, path: Path | str) -> None:
    """Refuse a manifest that lost a shard or moved one out of its split: none of its other files would tell.

    A store without any frame shard can be trained on; ``frames`` refuses it by itself.
    """
    for kind in ("frames", "windows"):
        shards = [shard for shard in manifest.shards if shard.kind == kind]
        found = (sum(shard.samples for shard in shards), sum(shard.frames for shard in shards))
        more = (manifest.kept_replays, manifest.kept_frames)
        if kind == "windows":
            more = (-manifest.left_replays, -manifest.left_frames)
        listed = (manifest.replays + more[0], manifest.frames + more[1])
        is_split = all(shard.split in ((None,) if kind == "frames" else SPLITS) for shard in shards)
        is_windows_only = kind == "frames" and not shards
        if (found != listed or not is_split) and not is_windows_only:
            raise SchemaError(
                f"store {path}: its {kind} shards must hold the manifest's {listed[0]} replays of {listed[1]} "
                f"frames, each in a split, found {found[0]} of {found[1]}; copy the manifest again or run "
                "'exphil ingest --rebuild'"
            )
