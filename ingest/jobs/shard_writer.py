"""The shards of one job: a frame shard, and a window shard for each split its replays fall into.

In: replays one by one. Out: files under the store, whole and durable when the context closes. The surprise: even then they do
not exist for readers until the manifest lists them.
"""

import tarfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from dataset.io.atomic import replacing, sha256_of
from dataset.schema import Columns, Version
from dataset.store.frame_table import FrameWriter
from dataset.store.manifest import ShardInfo
from dataset.stream.window_shards import Sample, add_sample, open_shard


class ShardSet:
    """Shards number ``index`` of a store; a context manager that leaves nothing behind on an error.

    ``oldest`` is the oldest Slippi version among its replays.
    """

    def __init__(self, folder: Path, index: int, oldest: Version) -> None:
        self._folder, self._index, self._oldest = folder, index, oldest
        self._stack = ExitStack()
        self._frames: FrameWriter | None = None
        self._windows: dict[str, tarfile.TarFile] = {}
        self._held: dict[str | None, list[int]] = {}
        self.shards: tuple[ShardInfo, ...] = ()
        """What was written; filled when the context closes."""

    def add(self, columns: Columns, sample: Sample, split: str) -> tuple[str, int]:
        """Append a replay; returns the frame shard's path and the row at which it starts."""
        place = self.keep(sample.id, columns)
        if split not in self._windows:
            path = self._stack.enter_context(replacing(self._folder / self._path(split)))
            file = self._stack.enter_context(path.open("wb"))
            self._windows[split] = self._stack.enter_context(open_shard(file))
        add_sample(self._windows[split], sample)
        self._held.setdefault(split, []).append(sample.num_frames)
        return place

    def keep(self, replay: str, columns: Columns) -> tuple[str, int]:
        """Append a replay's frames alone; returns as ``add`` does."""
        if self._frames is None:
            path = self._stack.enter_context(replacing(self._folder / self._path(None)))
            self._frames = self._stack.enter_context(FrameWriter(str(path), self._oldest))
        row = self._frames.write(replay, columns)
        self._held.setdefault(None, []).append(len(columns["frame"]))
        return self._path(None), row

    def _path(self, split: str | None) -> str:
        return f"frames/frames-{self._index:05d}.parquet" if split is None else f"windows/{split}-{self._index:06d}.tar"

    def _info(self, split: str | None) -> ShardInfo:
        file = self._folder / self._path(split)
        return ShardInfo(
            path=self._path(split),
            kind="frames" if split is None else "windows",
            split=split,
            sha256=sha256_of(file),
            bytes=file.stat().st_size,
            samples=len(self._held[split]),
            frames=sum(self._held[split]),
        )

    def __enter__(self) -> "ShardSet":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)
        if kind is None:
            self.shards = tuple(self._info(split) for split in self._held)
