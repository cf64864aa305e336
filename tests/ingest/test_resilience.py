import errno
import gzip
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
import pytest

from dataset import atomic, replay_table
from dataset.duel import generate_replay
from dataset.errors import ExphilError, ReplayError
from dataset.manifest import Manifest
from dataset.store import Store
from ingest import limits, plan, shardset, workers
from ingest.archives import Candidate, Reader
from ingest.job import Job, Known, Settings
from ingest.judge import Filters
from ingest.pipeline import IngestOptions, IngestReport, ingest
from ingest.sources import find_candidates
from ingest.workers import run_jobs
from tests.ingest.hanging import HangingNames
from tests.ingest.kills import STORE_FILES, kill_often

SCHEDSTAT = Path("/proc/self/schedstat")


def options(**changes: object) -> IngestOptions:
    return IngestOptions(**{"workers": 1, "min_frames": 1, **changes})  # type: ignore[arg-type]


def files_of(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def account(report: IngestReport) -> dict[str, int]:
    """Every reason with its count, and what was let in."""
    found = {**report.rejections, **report.failures, **report.duplicates, "ok": report.replays_ingested}
    assert sum(found.values()) == report.replays_new == report.replays_found
    return found


@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="kills are aimed by the CPU time that Linux tells")
def test_runs_killed_at_random_instants_lose_and_double_nothing(duels: Path, tmp_path: Path) -> None:
    assert kill_often(duels, tmp_path, kills=3, seed=0).total() == 3


@pytest.mark.slow
@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="kills are aimed by the CPU time that Linux tells")
def test_a_hundred_kills_lose_and_double_nothing(duels: Path, tmp_path: Path) -> None:
    tally = kill_often(duels, tmp_path, kills=100, seed=1, workers=(1, 1, 1, 2))
    print(tally)  # noqa: T201 (the figure)
    assert tally.total() == 100


@pytest.mark.parametrize("full_at", [0, 1, 2, 3, 4, 5])
def test_a_full_disk_leaves_the_store_as_it_was_and_the_next_run_finishes(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_at: int
) -> None:
    monkeypatch.setattr(plan, "MIN_JOB_BYTES", 1)
    monkeypatch.setattr(plan, "MAX_JOB_BYTES", 1)
    whole = ingest([duels], tmp_path / "whole", options())
    first = min(duels.iterdir())
    store = tmp_path / "store"
    before = ingest([first], store, options())
    written = 0

    @contextmanager
    def replacing_until_full(path: Path) -> Iterator[Path]:
        nonlocal written
        with atomic.replacing(path) as temporary:
            yield temporary
            written += 1
            if written > full_at:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(shardset, "replacing", replacing_until_full)
        patch.setattr(replay_table, "replacing", replacing_until_full)
        with pytest.raises(ExphilError, match=r"needs room .* found: No space left"):
            ingest([duels], store, options())
    left = Store(store)
    assert left.manifest.replays >= before.store_replays
    assert sum(sample.num_frames for sample in left.samples("all")) == left.manifest.frames
    assert ingest([duels], store, options()).digest == whole.digest
    assert files_of(store) - {shard.path for shard in Manifest.load(store).shards} <= STORE_FILES


@pytest.mark.slow
def test_a_disk_that_is_really_full_is_told_and_the_next_run_finishes(duels: Path, tmp_path: Path) -> None:
    namespace = ["unshare", "--user", "--map-root-user", "--mount"]
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run([*namespace, "mount", "-t", "tmpfs", "exphil", str(disk)], capture_output=True).returncode:
        pytest.skip("this system lets nobody mount in a namespace of his own")
    whole = ingest([duels], tmp_path / "whole", options())
    size = sum(path.stat().st_size for path in (tmp_path / "whole").rglob("*") if path.is_file())
    script = [*namespace, sys.executable, "-m", "tests.ingest.full_disk", str(duels), str(disk), str(size)]
    done = subprocess.run(script, capture_output=True, text=True, check=True)
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert {found["digest"] for found in rounds} == {whole.digest}
    for found in rounds:
        for command in ("ingest", "encode"):
            assert re.fullmatch(
                r"store \S+: needs room and permission to write, found: No space left on device; .*", found[command]
            )
    held = [found["held"] for found in rounds]
    assert (min(held), held) == (0, sorted(held))
    assert held[-1] > 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_file_that_may_not_be_read_is_counted_and_taken_in_once_it_may(duels: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(duels, tmp_path / "duels")
    locked = folder / "duel-0.slp"
    locked.chmod(0)
    assert account(ingest([folder], tmp_path / "store", options())) == {"unreadable_file": 1, "ok": 3}
    locked.chmod(0o600)
    assert ingest([folder], tmp_path / "store", options()).store_replays == 4


def test_a_source_that_the_system_refuses_to_open_is_counted_and_taken_in_once_it_opens(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refuse(self: Path, *arguments: object, **others: object) -> object:
        if self.name == "duel-0.slp":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))
        return real(self, *arguments, **others)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        report = ingest([duels], tmp_path / "store", options())
        assert account(report) == {"unreadable_file": 1, "ok": 3}
    (detail,) = Store(tmp_path / "store").replays().filter(pl.col("status") == "failed").collect()["detail"]
    assert detail == "replay: its bytes cannot be read (Permission denied)"
    again = ingest([duels], tmp_path / "store", options())
    assert (again.replays_new, again.replays_ingested) == (1, 1)
    assert Store(tmp_path / "store").replays().collect()["status"].to_list() == ["ok"] * 4


def test_a_store_that_may_not_be_written_to_is_an_error_without_a_traceback(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(shardset, "replacing", refuse)
    with pytest.raises(ExphilError, match=r"store .*: needs room and permission to write, found: Permission denied"):
        ingest([duels], tmp_path / "store", options())


def test_a_folder_that_may_not_be_read_is_counted(duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(duels, tmp_path / "duels")
    (folder / "closed").mkdir()
    real = os.scandir

    def refuse(path: str) -> object:
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert account(ingest([folder], tmp_path / "store", options())) == {"unreadable_file": 1, "ok": 4}


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_replay_that_hangs_its_worker_is_lost_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TIME_LIMIT_S", 2.0)
    for seed, ports in enumerate(((1, 2), (3, 4))):  # duelists are named after their ports
        generate_replay(tmp_path / f"{seed}.slp", seed=seed, frames=300, ports=ports)
    settings = Settings(
        store=tmp_path / "store",
        filters=Filters(min_frames=1),
        rollback="last",
        codec="axis17",
        split_seed=0,
        names=HangingNames(b"", True, "Duelist 4"),
    )
    jobs = [Job(index=i, groups=((candidate,),)) for i, candidate in enumerate(find_candidates([tmp_path]))]
    rows = [row for result in run_jobs(jobs, settings, Known(), workers=2) for row in result.rows]
    assert {Path(row["source"]).name: (row["status"], row.get("reason")) for row in rows} == {
        "0.slp": ("ok", None),
        "1.slp": ("failed", "worker_timeout"),
    }


def zeros_in(path: Path, size: int) -> Path:
    """An archive or gzip file of one replay of so many zeros."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("bomb.slp", bytes(size))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(bytes(size)))
    else:
        with tarfile.open(path, "w:xz") as archive:
            info = tarfile.TarInfo("bomb.slp")
            info.size = size
            archive.addfile(info, io.BytesIO(bytes(size)))
    return path


@pytest.mark.parametrize("name", ["bomb.zip", "bomb.slp.gz", "bomb.tar.xz"])
def test_what_unpacks_to_more_than_a_replay_is_refused_before_it_is_in_memory(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(limits, "MAX_REPLAY_BYTES", 2**21)
    bomb = zeros_in(tmp_path / name, 2**23)
    report = ingest([duels, bomb], tmp_path / "store", options())
    assert account(report) == {"too_large": 1, "ok": 4}


def test_an_archive_that_lies_about_its_members_size_is_refused_by_what_it_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_REPLAY_BYTES", 1000)
    bomb = zeros_in(tmp_path / "bomb.slp.gz", 1001)
    whole = zeros_in(tmp_path / "whole.slp.gz", 1000)
    with Reader() as reader:
        found = {candidate.source: candidate for candidate in find_candidates([tmp_path])}
        assert len(reader.read(found[str(whole)])) == 1000
        for read in (reader.read, reader.content_id):
            with pytest.raises(ReplayError, match="found more") as caught:
                read(found[str(bomb)])
            assert caught.value.reason == "too_large"


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_named_to_lie_elsewhere_is_read_and_never_written(
    duel_bytes: bytes, tmp_path: Path, kind: str
) -> None:
    names = ("../../outside.slp", "/tmp/outside.slp", "C:\\outside.slp")
    archive = tmp_path / "deep" / "er" / f"archive.{kind}"
    archive.parent.mkdir(parents=True)
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for name in names:
                zipped.writestr(name, duel_bytes)
    else:
        with tarfile.open(archive, "w") as tar:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(duel_bytes)
                tar.addfile(info, io.BytesIO(duel_bytes))
            link = tarfile.TarInfo("link.slp")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    before = files_of(tmp_path)
    found = account(ingest([archive], tmp_path / "store", options()))
    assert found == {"ok": 1, "same_content": 2} | ({"damaged_archive": 1} if kind == "tar" else {})
    assert {name for name in files_of(tmp_path) - before if not name.startswith("store/")} == set()
    assert not Path("/tmp/outside.slp").exists()


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tar.xz"])
def test_a_cut_archive_is_accounted_for_and_the_rest_goes_on(
    duels: Path, duel_bytes: bytes, tmp_path: Path, suffix: str, kept: float
) -> None:
    archive = tmp_path / f"cut.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            zipped.writestr("duel.slp", duel_bytes)
    else:
        with tarfile.open(archive, f"w:{suffix.removeprefix('tar').strip('.')}") as tar:
            info = tarfile.TarInfo("duel.slp")
            info.size = len(duel_bytes)
            tar.addfile(info, io.BytesIO(duel_bytes))
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * kept)])
    others = [path for path in sorted(duels.iterdir()) if path.name != "duel-0.slp"]
    found = account(ingest([archive, *others], tmp_path / "store", options()))
    assert found["ok"] >= 3
    assert set(found) - {"ok"} <= {"damaged_archive", "truncated"}
    assert sum(found.values()) == 4


def test_an_encrypted_member_is_accounted_for(duels: Path, duel_bytes: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "secret.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("duel.slp", duel_bytes)
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag that says: encrypted
    archive.write_bytes(data)
    assert account(ingest([duels, archive], tmp_path / "store", options())) == {"ok": 4, "damaged_archive": 1}


def test_a_member_that_went_missing_since_it_was_listed_is_damaged(tmp_path: Path, duel_bytes: bytes) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("duel.slp", duel_bytes)
    gone = Candidate(source=str(archive), member="other.slp", position=5, size=1, mtime=0, archive_size=1)
    with Reader() as reader, pytest.raises(ReplayError, match="cannot be read") as caught:
        reader.read(gone)
    assert caught.value.reason == "damaged_archive"
