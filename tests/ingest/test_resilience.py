import codecs
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
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dataset.duels.generate import generate_replay
from dataset.errors import ConfigError, ExphilError, ReplayError
from dataset.io import atomic
from dataset.store import frame_table, replay_table
from dataset.store.manifest import Manifest
from dataset.store.store import Store
from ingest.jobs import pipeline, workers
from ingest.jobs.cached_store import cached_store
from ingest.jobs.job import Job, Known, Settings
from ingest.jobs.pipeline import IngestReport, ingest
from ingest.jobs.workers import run_jobs_in_pool
from ingest.options import IngestOptions
from ingest.sources import reader as archives
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate, Reader
from tests.ingest.hanging import HangingNames
from tests.ingest.kills import STORE_FILES, kill_often

NOBODY = 65534

SCHEDSTAT = Path("/proc/self/schedstat")


def options(**changes: object) -> IngestOptions:
    return IngestOptions(**{"workers": 1, "min_frames": 1, **changes})  # type: ignore[arg-type]


def files_of(store: Path) -> set[str]:
    return {str(path.relative_to(store)) for path in store.rglob("*") if path.is_file()}


def account(report: IngestReport) -> dict[str, int]:
    """Every reason with its count, and what was let in."""
    found = {**report.rejections, **report.failures, **report.duplicates, "ok": report.replays_ingested}
    assert sum(found.values()) == report.replays_new == report.replays_found
    return {reason: count for reason, count in found.items() if count}


def counts(report: IngestReport) -> tuple[int, int, int]:
    """Found, new, ingested."""
    return report.replays_found, report.replays_new, report.replays_ingested


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
    monkeypatch.setattr(pipeline, "MIN_JOB_BYTES", 1)
    monkeypatch.setattr(pipeline, "MAX_JOB_BYTES", 1)
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
        patch.setattr(frame_table, "replacing", replacing_until_full)
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


@pytest.fixture
def refused(duels: Path) -> Iterator[Path]:
    """Duels, and a closed folder with one more, of somebody whom the system refuses what it would never refuse root."""
    me = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(duels, folder / "in")
        (folder / "in" / "closed").mkdir()
        generate_replay(folder / "in" / "closed" / "one-more.slp", seed=21, frames=300)
        if me == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            for name in ("cp437", "cp932"):
                codecs.lookup(name)  # Python's own files may be refused as well
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            (folder / "in" / "closed").chmod(0o700)
            os.seteuid(me)


@pytest.mark.parametrize("mode", [0, 0o111, 0o444])
def test_a_folder_that_may_not_be_read_is_told_by_each_run_until_it_may(refused: Path, mode: int) -> None:
    folder, store = refused / "in", refused / "store"
    reason = (
        "unreadable_file" if mode == 0o444 else "unreadable_folder"
    )  # its names can be listed, but not its files read
    (folder / "closed").chmod(mode)
    assert account(ingest([folder], store, options())) == {reason: 1, "ok": 4}
    again = ingest([folder], store, options())
    assert (again.replays_found, again.replays_new, again.failures) == (5, 1, {reason: 1})
    (folder / "closed").chmod(0o700)
    assert counts(ingest([folder], store, options())) == (5, 1, 1)
    assert Store(store).replays().collect()["status"].to_list() == ["ok"] * 5


@pytest.mark.parametrize("name", ["duel-0.slp", "duel.zip"])
def test_a_file_that_may_not_be_read_is_told_by_each_run_until_it_may(refused: Path, name: str) -> None:
    folder, store = refused / "in", refused / "store"
    with zipfile.ZipFile(folder / "duel.zip", "w") as archive:
        archive.write(folder / "closed" / "one-more.slp", "one-more.slp")
    shutil.rmtree(folder / "closed")
    (folder / "closed").mkdir()
    (folder / name).chmod(0)
    assert account(ingest([folder], store, options())) == {"unreadable_file": 1, "ok": 4}
    again = ingest([folder], store, options())
    assert (again.replays_found, again.replays_new, again.failures) == (5, 1, {"unreadable_file": 1})
    (folder / name).chmod(0o600)
    assert counts(ingest([folder], store, options())) == (5, 1, 1)
    assert Store(store).replays().collect()["status"].to_list() == ["ok"] * 5


def test_a_store_on_demand_is_made_of_what_can_be_read_and_anew_once_more_can(
    refused: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXPHIL_CACHE", str(refused / "cache"))
    (refused / "in" / "closed").chmod(0)
    assert Store(cached_store([refused / "in"], options())).manifest.replays == 4
    (refused / "in" / "closed").chmod(0o700)
    assert Store(cached_store([refused / "in"], options())).manifest.replays == 5


def test_folders_that_the_system_gives_one_number_are_told_apart(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in duels.iterdir():
        (tmp_path / "in" / path.stem).mkdir(parents=True)
        shutil.copyfile(path, tmp_path / "in" / path.stem / path.name)
    real = Path.stat

    def numbered(self: Path, **others: bool) -> os.stat_result:
        return os.stat_result((real(self, **others).st_mode, 0, *real(self, **others)[2:]))

    monkeypatch.setattr(Path, "stat", numbered)
    assert len(find_candidates([tmp_path / "in"])) == 4


def test_a_source_behind_a_closed_folder_is_an_error_that_says_so(refused: Path) -> None:
    (refused / "in" / "closed").chmod(0)
    with pytest.raises(ConfigError, match="must be a file or folder that can be read, found: Permission denied"):
        ingest([refused / "in" / "closed" / "one-more.slp"], refused / "store", options())


@pytest.mark.parametrize("is_dry", [False, True])
@pytest.mark.parametrize("name", ["", "salt"])
def test_a_store_that_may_not_be_read_is_an_error_without_a_traceback(refused: Path, name: str, is_dry: bool) -> None:
    ingest([refused / "in"], refused / "store", options())
    (refused / "store" / name).chmod(0)
    with pytest.raises(ExphilError, match=r"store .*: needs .*permission to .*, found: Permission denied; mend that"):
        ingest([refused / "in"], refused / "store", options(dry_run=is_dry))
    (refused / "store" / name).chmod(0o700)


@pytest.mark.parametrize("change", ["grows", "goes"])
def test_a_file_that_changes_between_its_hash_and_its_parse_is_looked_at_again_next_time(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = shutil.copytree(duels, tmp_path / "in")
    real, whole = Reader.content_id, (duels / "duel-0.slp").read_bytes()

    def meanwhile(self: Reader, candidate: Candidate) -> str:
        found = real(self, candidate)
        path = Path(candidate.source)
        if path.name == "duel-0.slp":
            path.unlink()
            if change == "grows":
                path.write_bytes(whole + b"and more")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Reader, "content_id", meanwhile)
        found = account(ingest([folder], tmp_path / "store", options()))
    assert found == {"changed" if change == "grows" else "unreadable_file": 1, "ok": 3}
    shutil.copyfile(duels / "duel-0.slp", folder / "duel-0.slp")
    assert counts(ingest([folder], tmp_path / "store", options())) == (4, 1, 1)
    assert Store(tmp_path / "store").manifest.digest == ingest([duels], tmp_path / "whole", options()).digest


def test_a_link_to_nowhere_is_forgotten_once_its_target_is_there(duels: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.slp").symlink_to(tmp_path / "elsewhere.slp")
    assert account(ingest([tmp_path / "in"], tmp_path / "store", options())) == {"unreadable_file": 1}
    shutil.copyfile(duels / "duel-0.slp", tmp_path / "elsewhere.slp")
    assert account(ingest([tmp_path / "in"], tmp_path / "store", options())) == {"ok": 1}
    assert Store(tmp_path / "store").replays().collect()["status"].to_list() == ["ok"]


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
    assert counts(ingest([duels], tmp_path / "store", options())) == (4, 1, 1)
    assert Store(tmp_path / "store").replays().collect()["status"].to_list() == ["ok"] * 4


def test_a_store_that_may_not_be_written_to_is_an_error_without_a_traceback(
    duels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(frame_table, "replacing", refuse)
    with pytest.raises(ExphilError, match=r"store .*: needs room and permission to write, found: Permission denied"):
        ingest([duels], tmp_path / "store", options())


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_a_replay_that_hangs_its_worker_is_lost_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TIME_LIMIT_S", 2.0)
    for seed, ports in enumerate(((1, 2), (3, 4))):  # duelists are named after their ports
        generate_replay(tmp_path / f"{seed}.slp", seed=seed, frames=300, ports=ports)
    settings = Settings(
        store=tmp_path / "store",
        options=IngestOptions(min_frames=1),
        names=HangingNames(b"", True, "Duelist 4"),
    )
    jobs = [Job(index=i, groups=((candidate,),)) for i, candidate in enumerate(find_candidates([tmp_path]))]
    rows = [row for result in run_jobs_in_pool(jobs, settings, Known(), workers=2) for row in result.rows]
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
    monkeypatch.setattr(archives, "MAX_REPLAY_BYTES", 2**21)
    bomb = zeros_in(tmp_path / name, 2**23)
    report = ingest([duels, bomb], tmp_path / "store", options())
    assert account(report) == {"too_large": 1, "ok": 4}


def test_an_archive_that_lies_about_its_members_size_is_refused_by_what_it_unpacks_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_REPLAY_BYTES", 1000)
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
    assert found == {"ok": 1, "same_content": 2} | ({"lost_link": 1} if kind == "tar" else {})
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
    assert found["ok"] == 3
    assert found["damaged_archive"] == (1 if suffix == "zip" else 2)  # a tar's member, and what may have come behind it


def test_an_encrypted_member_is_accounted_for(duels: Path, duel_bytes: bytes, tmp_path: Path) -> None:
    archive = tmp_path / "secret.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("duel.slp", duel_bytes)
    data = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1  # the flag that says: encrypted
    archive.write_bytes(data)
    assert account(ingest([duels, archive], tmp_path / "store", options())) == {"ok": 4, "encrypted": 1}


@pytest.mark.parametrize("is_list_encrypted", [False, True])
def test_a_7z_with_a_password_is_told_as_one(duels: Path, tmp_path: Path, is_list_encrypted: bool) -> None:
    py7zr = pytest.importorskip("py7zr", reason="the extra [7z] is not installed")
    with py7zr.SevenZipFile(
        tmp_path / "secret.7z", "w", password="hunter2", header_encryption=is_list_encrypted
    ) as archive:
        archive.write(duels / "duel-0.slp", "duel.slp")
    assert account(ingest([tmp_path / "secret.7z"], tmp_path / "store", options())) == {"encrypted": 1}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz"])
def test_of_a_tar_that_was_cut_what_came_before_is_taken_in_and_the_whole_one_mends_the_rest(
    duels: Path, tmp_path: Path, suffix: str
) -> None:
    archive = tmp_path / f"duels.{suffix}"
    with tarfile.open(archive, f"w:{suffix.removeprefix('tar').strip('.')}") as tar:
        for path in sorted(duels.iterdir()):
            tar.add(path, path.name)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) * 6 // 10])
    assert account(ingest([archive], tmp_path / "store", options())) == {"damaged_archive": 2, "ok": 2}
    assert counts(ingest([archive], tmp_path / "store", options())) == (4, 0, 0)
    archive.write_bytes(whole)
    assert ingest([archive], tmp_path / "store", options()).replays_ingested == 2
    assert Store(tmp_path / "store").replays().collect()["status"].to_list() == ["ok"] * 4


def test_a_gzipped_replay_that_was_cut_is_told_as_damaged_and_not_read_again(duels: Path, tmp_path: Path) -> None:
    data = gzip.compress((duels / "duel-0.slp").read_bytes())
    (tmp_path / "a.slp.gz").write_bytes(data[: len(data) // 2])
    assert account(ingest([tmp_path / "a.slp.gz"], tmp_path / "store", options())) == {"damaged_gzip": 1}
    assert counts(ingest([tmp_path / "a.slp.gz"], tmp_path / "store", options())) == (1, 0, 0)


def test_an_archive_within_an_archive_is_counted(duels: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "inner.zip", "w") as inner:
        inner.write(duels / "duel-0.slp", "duel.slp")
    with zipfile.ZipFile(tmp_path / "outer.zip", "w") as outer:
        outer.write(tmp_path / "inner.zip", "inner.zip")
        outer.write(duels / "duel-1.slp", "duel.slp")
    found = account(ingest([tmp_path / "outer.zip"], tmp_path / "store", options()))
    assert found == {"nested_archive": 1, "ok": 1}


def test_a_rebuild_that_finds_nothing_leaves_the_store_alone(duels: Path, tmp_path: Path) -> None:
    ingest([duels], tmp_path / "store", options())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="found no replay to read; check the paths"):
        ingest([tmp_path / "empty"], tmp_path / "store", options(rebuild=True))
    (tmp_path / "empty" / "cut.zip").write_bytes(b"")
    with pytest.raises(ConfigError, match="found no replay to read; check the paths"):
        ingest([tmp_path / "empty"], tmp_path / "store", options(rebuild=True))
    assert Store(tmp_path / "store").manifest.replays == 4


def test_a_member_that_went_missing_since_it_was_listed_is_damaged(tmp_path: Path, duel_bytes: bytes) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("duel.slp", duel_bytes)
    gone = Candidate(source=str(archive), member="other.slp", position=5, size=1, mtime=0, archive_size=1)
    with Reader() as reader, pytest.raises(ReplayError, match="cannot be read") as caught:
        reader.read(gone)
    assert caught.value.reason == "damaged_archive"
