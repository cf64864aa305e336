import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest

from dataset.errors import ConfigError
from dataset.io.atomic import writing
from dataset.store.store import Store
from ingest.command import watch_sources
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate
from ingest.sources.watch import FilesAtRest, is_whole, watch

RAW_LENGTH = slice(11, 15)


def names(candidates: list[Candidate]) -> list[str]:
    return [candidate.member or Path(candidate.source).name for candidate in candidates]


def test_a_file_is_told_once_when_two_looks_find_it_alike(duels: Path, tmp_path: Path) -> None:
    rest = FilesAtRest()
    shutil.copyfile(duels / "duel-0.slp", tmp_path / "a.slp")
    looks = [names(rest.look(find_candidates([tmp_path]))) for _ in range(3)]
    assert looks == [[], ["a.slp"], []]
    os.utime(tmp_path / "a.slp", (1, 1))
    assert [names(rest.look(find_candidates([tmp_path]))) for _ in range(3)] == [[], ["a.slp"], []]


def test_a_file_that_grows_between_looks_waits_until_it_does_not(tmp_path: Path) -> None:
    rest, told = FilesAtRest(), []
    for size in (10, 20, 30, 30):
        (tmp_path / "a.slp").write_bytes(b"x" * size)
        os.utime(tmp_path / "a.slp", (1, 1))
        told.append((names(rest.look(find_candidates([tmp_path]))), rest.waiting))
    assert told == [([], 1), ([], 1), ([], 1), (["a.slp"], 0)]


def test_a_game_in_progress_and_half_a_copy_wait_however_still_they_lie(duel_bytes: bytes, tmp_path: Path) -> None:
    playing = bytearray(duel_bytes)
    playing[RAW_LENGTH] = bytes(4)
    files = {
        "playing": bytes(playing),
        "half": duel_bytes[: len(duel_bytes) // 2],
        "empty": b"",
        "begun": duel_bytes[:9],
    }
    for name, data in {**files, "whole": duel_bytes, "not-a-replay": b"something else altogether"}.items():
        (tmp_path / f"{name}.slp").write_bytes(data)
    whole = {Path(found.source).stem for found in find_candidates([tmp_path]) if is_whole(found)}
    assert whole == {"whole", "not-a-replay"}
    rest = FilesAtRest()
    rest.look(find_candidates([tmp_path]))
    assert names(rest.look(find_candidates([tmp_path]))) == ["not-a-replay.slp", "whole.slp"]
    assert rest.waiting == 4


def test_a_file_that_may_not_be_read_yet_waits_until_it_may(
    duel_bytes: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in (("a.slp", duel_bytes), ("b.slp.gz", gzip.compress(duel_bytes)), ("c.slp.gz", b"damaged")):
        (tmp_path / name).write_bytes(data)
    rest = FilesAtRest()

    def refuse(self: Path, *_: object) -> object:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse)
        assert [names(rest.look(find_candidates([tmp_path]))) for _ in range(2)] == [[], []]
    assert names(rest.look(find_candidates([tmp_path]))) == ["a.slp", "b.slp.gz", "c.slp.gz"]


def test_an_archive_waits_until_it_is_still_and_then_gives_its_members(duels: Path, tmp_path: Path) -> None:
    rest = FilesAtRest()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(duels / "duel-0.slp", "0.slp")
    whole = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(whole[:1000])
    assert rest.look(find_candidates([tmp_path])) == []
    (tmp_path / "a.zip").write_bytes(whole)
    assert rest.look(find_candidates([tmp_path])) == []
    assert names(rest.look(find_candidates([tmp_path]))) == ["0.slp"]


def test_watching_looks_waits_and_hands_over_until_it_is_interrupted(duels: Path, tmp_path: Path) -> None:
    told: list[tuple[list[str], int]] = []
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            shutil.copyfile(duels / "duel-1.slp", tmp_path / "b.slp")
        if len(waits) == 5:
            raise KeyboardInterrupt

    shutil.copyfile(duels / "duel-0.slp", tmp_path / "a.slp")
    with pytest.raises(KeyboardInterrupt):
        watch([tmp_path], lambda ready, waiting: told.append((names(ready), waiting)), pytest.fail, 7.5, wait)
    assert told == [(["a.slp"], 0), (["b.slp"], 0)]
    assert waits == [7.5] * 5


def test_a_source_that_goes_away_is_told_once_and_gone_on_with_when_it_is_back(duels: Path, tmp_path: Path) -> None:
    drive, gone, other = tmp_path / "drive", tmp_path / "unplugged", tmp_path / "other"
    drive.mkdir()
    other.mkdir()
    told: list[str] = []
    looks: list[int] = []

    def wait(_: float) -> None:
        looks.append(len(looks))
        match looks[-1]:
            case 0:
                shutil.copyfile(duels / "duel-0.slp", drive / "a.slp")
            case 3:
                drive.rename(gone)
                shutil.copyfile(duels / "duel-1.slp", other / "b.slp")
            case 7:
                shutil.copyfile(duels / "duel-2.slp", gone / "c.slp")
                gone.rename(drive)
            case 10:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch([drive, other], lambda ready, _: told.append(" ".join(names(ready))), told.append, 1.0, wait)
    assert told == [
        "a.slp",
        f"{drive} cannot be reached any more; waiting for it to come back",
        "b.slp",
        f"{drive} is back",
        "a.slp c.slp",  # what went away while it was read is looked at again
    ]


def test_a_source_that_was_never_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found nothing there; check the path"):
        watch([tmp_path / "nothing"], pytest.fail, pytest.fail, 1.0, pytest.fail)


@pytest.mark.parametrize(
    ("changes", "interval", "message"),
    [
        ({"rebuild": True}, 1.0, "--rebuild and --dry-run cannot"),
        ({"dry_run": True}, 1.0, "--rebuild and --dry-run cannot"),
        ({}, 0.0, "--interval: must be above 0 seconds, found 0"),
    ],
)
def test_settings_that_contradict_watching_are_errors(
    duels: Path, tmp_path: Path, changes: dict[str, bool], interval: float, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        watch_sources([duels], tmp_path / "store", None, changes, interval)


def test_a_watch_waits_for_another_process_that_writes_to_its_store(
    duels: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    other = ExitStack()
    other.enter_context(writing(store))
    sleeps: list[float] = []

    def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        if len(sleeps) == 3:
            other.close()
        if len(sleeps) == 6:
            raise KeyboardInterrupt

    (report,) = watch_sources([duels], store, None, {"workers": 1, "min_frames": 1}, 1.0, sleep)
    assert report.replays_ingested == 4
    told = capsys.readouterr().err
    assert "watching: all files are in; Ctrl-C ends" in told
    assert told.count("watching: another process writes to the store; waiting until it ends; Ctrl-C ends") == 1


def test_an_interval_without_watching_is_an_error(duels: Path, tmp_path: Path) -> None:
    from ingest.cli import ingest_command

    with pytest.raises(ConfigError, match="add --watch"):
        ingest_command([duels], tmp_path, interval=3.0)


def test_ctrl_c_ends_a_watch_cleanly_with_all_that_had_come_to_rest(duels: Path, tmp_path: Path) -> None:
    store, source = tmp_path / "store", tmp_path / "in"
    shutil.copytree(duels, source)
    (source / "half.slp").write_bytes((duels / "duel-0.slp").read_bytes()[:5000])
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # tests begun with & ignore it
    code += "import typer, ingest.cli as c; a = typer.Typer(); c.register(a); a()"
    options = ["--store", str(store), "--min-frames", "1", "--workers", "1", "--watch", "--interval", "0.05", "--json"]
    command = [sys.executable, "-c", code, "ingest", str(source), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        impatience = threading.Timer(300, process.kill)
        impatience.start()
        told = next((line for line in process.stderr if "not whole yet" in line), "")  # the round is over
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
        impatience.cancel()
    assert "watching: 1 file is not whole yet; Ctrl-C ends" in told
    assert (process.returncode, "Traceback" in err) == (0, False)
    found = json.loads(out.splitlines()[-1])
    assert (found["replays_ingested"], found["stores"]) == (4, [str(store)])
    assert Store(store).replays().collect().height == 4
