"""A folder that changes at random between runs: each run's account adds up, nothing is lost, doubled or remembered wrongly."""

import gzip
import io
import os
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest

from dataset.errors import ReplayError
from dataset.store.store import Store
from ingest.jobs.job import content_id
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from ingest.sources.find import find_candidates
from ingest.sources.reader import Reader

OPTIONS = IngestOptions(workers=1, min_frames=1, keep_names=True)
_FRAMELESS_BYTES = 700
"""A replay that is cut within them ends before its first frame; one that is cut later is read as far as it goes."""

NAMES = ("a.slp", "b.slp", "deep/c.slp", "d.slp.gz", "e.zip", "f.zip", "g.tar")


class Folder:
    """Files that come, change, move and go; every change has a time of its own."""

    def __init__(self, path: Path, duels: list[bytes], seed: int) -> None:
        self.path, self._duels, self._draw, self._now = path, duels, random.Random(seed), 0
        (path / "deep").mkdir(parents=True)

    def change(self) -> None:
        """Do one thing to one file."""
        path = self.path / self._draw.choice(NAMES)
        deed = self._draw.choice(("write", "write", "touch", "delete", "move"))
        if deed == "write":
            self._write(path)
        elif path.exists() and deed == "delete":
            path.unlink()
        elif path.exists() and deed == "move":
            path = path.replace(path.with_name("moved" + "".join(path.suffixes)))
        if path.exists():
            self._now += 1
            os.utime(path, (self._now, self._now))

    def _write(self, path: Path) -> None:
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings(action="ignore"):
                for _ in range(self._draw.randrange(4)):
                    archive.writestr(self._draw.choice(("x.slp", "y.slp")), self._replay())
        elif path.suffix == ".tar":
            with tarfile.open(path, "w") as tar:
                for _ in range(self._draw.randrange(4)):
                    data, info = self._replay(), tarfile.TarInfo(self._draw.choice(("x.slp", "y.slp")))
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        else:
            path.write_bytes(gzip.compress(self._replay()) if path.suffix == ".gz" else self._replay())
        if path.suffix != ".slp" and self._draw.random() < 0.2:
            path.write_bytes(path.read_bytes()[: -self._draw.randrange(1, 5000)])

    def _replay(self) -> bytes:
        data = self._draw.choice(self._duels)
        return data if self._draw.random() < 0.7 else data[: self._draw.randrange(_FRAMELESS_BYTES)]

    def contents(self) -> list[tuple[str, str | None, str | None]]:
        """(source, member, id or ``None`` where it cannot be read) of all that is found."""
        found = []
        with Reader() as reader:
            for candidate in find_candidates([self.path]):
                try:
                    found.append((candidate.source, candidate.member, content_id(reader.read(candidate))))
                except ReplayError:
                    found.append((candidate.source, candidate.member, None))
        return found


@pytest.mark.parametrize("seed", range(3))
def test_whatever_happens_to_a_folder_between_runs_every_account_adds_up(
    duels: Path, tmp_path: Path, seed: int
) -> None:
    whole = [path.read_bytes() for path in sorted(duels.iterdir())]
    folder = Folder(tmp_path / "in", whole, seed)
    ever: set[str] = set()
    for _ in range(20):
        for _ in range(3):
            folder.change()
        found = folder.contents()
        ever |= {id_ for *_, id_ in found if id_} & set(map(content_id, whole))
        report = ingest([folder.path], tmp_path / "store", OPTIONS)
        account = (report.replays_ingested, report.replays_rejected, report.replays_failed, report.replays_duplicate)
        assert (report.replays_found, report.replays_new) == (len(found), sum(account))
        rows = Store(tmp_path / "store").replays().collect().to_dicts()
        assert sorted(row["id"] for row in rows if row["status"] == "ok") == sorted(ever)
        now = {(source, member) for source, member, _ in found}
        failed = {(row["source"], row["member"], row["id"]) for row in rows if row["status"] == "failed"}
        assert {place for place in failed if place[:2] in now} <= set(found)
        assert ingest([folder.path], tmp_path / "store", OPTIONS).replays_new == 0
    (tmp_path / "fresh").mkdir()
    for data in whole:
        if content_id(data) in ever:
            (tmp_path / "fresh" / f"{content_id(data)}.slp").write_bytes(data)
    assert ingest([tmp_path / "fresh"], tmp_path / "other", OPTIONS).digest == report.digest
