"""Writes the shards of a store: frames as Parquet, one file for each set of columns, and windows as tar, one for each split.

The files are whole and durable when the writer closes, but readers ignore them until the manifest lists them.
"""

import re
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dataset.codecs.base import Codec
from dataset.features.encoder import encode_columns
from dataset.features.layout import kept_columns
from dataset.io.atomic import replacing, sha256_of
from dataset.schema import SIDES, Columns, controller_matrix
from dataset.store.frame_table import FrameWriter
from dataset.store.manifest import ShardInfo
from dataset.stream.window_shards import Sample, add_sample, open_shard

SHARD_NAME = re.compile(r"(?:frames/frames|windows/(?:train|val|test))-(\d+)(?:_\d+)?\.(?:parquet|tar)")
"""Path of a shard below its store, with its number; a frame shard after the first of one number has a second one."""


def shard_number(path: str) -> int | None:
    """The number of the shard at ``path`` below its store; ``None`` where that is no shard's name."""
    found = SHARD_NAME.fullmatch(path)
    return None if found is None else int(found[1])


def next_number(paths: Iterable[str]) -> int:
    """The least number above those of all shards among ``paths``."""
    return max((number + 1 for number in map(shard_number, paths) if number is not None), default=0)


def sample_of(row: Mapping[str, Any], columns: Columns, codec: Codec, features: str) -> Sample:
    """A replay as window shards hold it.

    Args:
        row: its row of the table of replays, or the id, ports, characters and stage of one.
        columns: its frame-table columns.
        codec: of the controllers.
        features: choice of feature groups (``dataset.features.layout``).
    """
    controllers = [controller_matrix(columns, side) for side in SIDES]
    return Sample(
        id=row["id"],
        ports=(row["port_a"], row["port_b"]),
        characters=(row["character_a"], row["character_b"]),
        stage=row["stage"],
        frames=columns["frame"].astype(np.int32, copy=False),
        encoded=encode_columns(kept_columns(columns, features)),
        classes=np.stack([codec.encode(side).T for side in controllers]),
    )


class ShardWriter:
    """The shards of one number; a context manager that leaves nothing behind on an error."""

    def __init__(self, folder: Path, number: int) -> None:
        """Write into the store at ``folder``."""
        self._folder, self._number = folder, number
        self._files = ExitStack()
        self._frames: dict[frozenset[str], tuple[str, FrameWriter]] = {}
        self._windows: dict[str, tuple[str, tarfile.TarFile]] = {}
        self._lengths: dict[str, list[int]] = {}
        self.shards: tuple[ShardInfo, ...] = ()
        """What was written; filled when the context closes."""

    def add_frames(self, replay: str, columns: Columns) -> tuple[str, int]:
        """Append a replay to the frame shard of its columns; returns the shard's path and the row at which it starts."""
        names = frozenset(columns)
        if names not in self._frames:
            more = f"_{len(self._frames)}" if self._frames else ""
            name = f"frames/frames-{self._number:05d}{more}.parquet"
            self._frames[names] = name, self._files.enter_context(FrameWriter(self._open(name), names))
        name, writer = self._frames[names]
        self._lengths[name].append(len(columns["frame"]))
        return name, writer.write(replay, columns)

    def add_window(self, sample: Sample, split: str) -> None:
        """Append an encoded replay to the window shard of its split."""
        if split not in self._windows:
            name = f"windows/{split}-{self._number:06d}.tar"
            file = self._files.enter_context(self._open(name).open("wb"))
            self._windows[split] = name, self._files.enter_context(open_shard(file))
        name, shard = self._windows[split]
        self._lengths[name].append(sample.num_frames)
        add_sample(shard, sample)

    def _open(self, name: str) -> Path:
        """Where to write the shard of that name until it is whole."""
        self._lengths[name] = []
        return self._files.enter_context(replacing(self._folder / name))

    def _info(self, name: str, split: str | None) -> ShardInfo:
        path = self._folder / name
        return ShardInfo(
            path=name,
            kind="frames" if split is None else "windows",
            split=split,
            sha256=sha256_of(path),
            bytes=path.stat().st_size,
            samples=len(self._lengths[name]),
            frames=sum(self._lengths[name]),
        )

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._files.__exit__(kind, error, traceback)
        if kind is None:
            frames = [self._info(name, None) for name, _ in self._frames.values()]
            windows = [self._info(name, split) for split, (name, _) in self._windows.items()]
            self.shards = (*frames, *windows)
