import gzip
import io
import os
import shutil
import stat
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path
from types import SimpleNamespace

import pytest
import zstandard

from dataset.errors import ConfigError, ReplayError
from ingest.jobs.pipeline import ingest
from ingest.options import IngestOptions
from ingest.replay.judge import SENTENCES, Names
from ingest.sources import reader, sevenzip
from ingest.sources.find import find_candidates
from ingest.sources.reader import Candidate, Reader, is_foreign

FILES = {"b.slp": b"second", "deep/a.slp": b"first", "c.SLP": b"third", "notes.txt": b"no replay", "._a.slp": b"shadow"}
REPLAYS = {b"first", b"second", b"third"}


def write_zip(path: Path, compression: int) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    return path


def write_tar(path: Path, mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        _fill(archive)
    return path


def _fill(archive: tarfile.TarFile) -> None:
    for name, data in FILES.items():
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))


def write_zstd_tar(path: Path) -> Path:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        _fill(archive)
    path.write_bytes(zstandard.ZstdCompressor().compress(file.getvalue()))
    return path


def contents(candidates: list[Candidate]) -> list[bytes]:
    with Reader() as opened:
        return [opened.read(candidate) for candidate in candidates]


def test_a_folder_is_searched_to_the_bottom_in_path_order(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = find_candidates([tmp_path])
    assert [Path(candidate.source).name for candidate in found] == ["b.slp", "c.SLP", "a.slp"]
    assert contents(found) == [b"second", b"third", b"first"]


@pytest.mark.parametrize(
    "kind", ["stored", "deflate", "lzma", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst"]
)
def test_archives_are_read_member_by_member(tmp_path: Path, kind: str) -> None:
    compressions = {"stored": zipfile.ZIP_STORED, "deflate": zipfile.ZIP_DEFLATED, "lzma": zipfile.ZIP_LZMA}
    if kind in compressions:
        path = write_zip(tmp_path / "a.zip", compressions[kind])
    elif kind == ".tar.zst":
        path = write_zstd_tar(tmp_path / "a.tar.zst")
    else:
        path = write_tar(tmp_path / f"a{kind}", {".tar": "w", ".tgz": "w:gz"}.get(kind, f"w:{kind[5:]}"))
    found = find_candidates([path])
    assert [candidate.member for candidate in found] == ["b.slp", "deep/a.slp", "c.SLP"]
    assert contents(found) == [b"second", b"first", b"third"]
    assert contents(found[::-1]) == [b"third", b"first", b"second"]  # also backwards, where the format must start over
    assert {candidate.archive_size for candidate in found} == {path.stat().st_size}
    assert sorted(tmp_path.iterdir()) == [path]


def test_a_gzipped_replay_is_read_alone_and_in_an_archive(tmp_path: Path) -> None:
    (tmp_path / "a.slp.gz").write_bytes(gzip.compress(b"first"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("b.slp.gz", gzip.compress(b"second"))
    assert contents(find_candidates([tmp_path])) == [b"first", b"second"]


def test_a_limit_reads_only_the_beginning(tmp_path: Path) -> None:
    (tmp_path / "a.slp").write_bytes(b"0123456789")
    with Reader() as reader:
        assert reader.read(find_candidates([tmp_path])[0], 4) == b"0123"


def test_a_loop_of_links_ends_and_each_file_is_found_once(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.slp").write_bytes(b"first")
    (tmp_path / "folder" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "other").symlink_to(tmp_path / "folder", target_is_directory=True)
    found = find_candidates([tmp_path, tmp_path / "folder", tmp_path / "folder" / "a.slp"])
    assert [Path(candidate.source) for candidate in found] == [tmp_path / "folder" / "a.slp"]


def test_the_order_of_sources_does_not_matter(tmp_path: Path) -> None:
    for name in ("a.slp", "b.slp"):
        (tmp_path / name).write_bytes(name.encode())
    paths = [tmp_path / "b.slp", tmp_path / "a.slp"]
    assert find_candidates(paths) == find_candidates(paths[::-1]) == find_candidates([tmp_path])


@pytest.mark.parametrize("name", ["a.slp", "a.zip"])
@pytest.mark.parametrize("target", ["nothing", None])
def test_a_link_to_nowhere_or_to_itself_is_a_candidate_that_cannot_be_read(
    tmp_path: Path, name: str, target: str | None
) -> None:
    (tmp_path / name).symlink_to(tmp_path / (target or name))
    with pytest.raises(ReplayError) as caught:
        contents(find_candidates([tmp_path]))
    assert caught.value.reason == "unreadable_file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_that_is_named_like_a_replay_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.slp")
    assert find_candidates([tmp_path]) == []


def test_an_archive_without_a_list_is_one_damaged_candidate(tmp_path: Path) -> None:
    for name in ("a.zip", "b.tar", "c.tar.gz", "d.tar.zst"):
        (tmp_path / name).write_bytes(b"nothing of the kind")
    found = find_candidates([tmp_path])
    assert [candidate.member for candidate in found] == [None] * 4
    for candidate in found:
        with pytest.raises(ReplayError) as caught:
            contents([candidate])
        assert caught.value.reason == "damaged_archive"


def test_a_flipped_member_is_damaged_and_its_name_stays_out_of_the_message(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.zip", zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"second", b"sEcond", 1))
    with pytest.raises(ReplayError) as caught:
        contents(find_candidates([path])[:1])
    assert caught.value.reason == "damaged_archive"
    assert "b.slp" not in str(caught.value)


LINKS = {
    "a/x.slp": b"first",
    "a/hard.slp": "a/x.slp",
    "data.bin": b"second",
    "a/y.slp": "data.bin",
    "a/ahead.slp": ("../z.slp",),
    "a/chain.slp": ("./ahead.slp",),
    "z.slp": b"third",
    "outside.slp": ("/etc/passwd",),
    "folder.slp": ("a",),
    "loop.slp": ("loop.slp",),
}
"""Bytes of a file, where a hard link leads, or (a tuple) a symbolic one."""


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "zip"])
def test_links_within_an_archive_are_the_members_they_lead_to(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as zipped:
            for name, what in LINKS.items():
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (stat.S_IFREG if isinstance(what, bytes) else stat.S_IFLNK) << 16
                link = os.path.relpath(what, Path(name).parent) if isinstance(what, str) else what[0]
                zipped.writestr(entry, what if isinstance(what, bytes) else link)
    else:
        with tarfile.open(path, f"w:{suffix[4:]}") as tar:
            for name, what in LINKS.items():
                info = tarfile.TarInfo(name)
                info.size = len(what) if isinstance(what, bytes) else 0
                if not isinstance(what, bytes):
                    info.type = tarfile.LNKTYPE if isinstance(what, str) else tarfile.SYMTYPE
                    info.linkname = what if isinstance(what, str) else what[0]
                tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
            for name, kind in (("folder-2.slp", tarfile.DIRTYPE), ("pipe.slp", tarfile.FIFOTYPE)):
                info = tarfile.TarInfo(name)
                info.type = kind
                tar.addfile(info)
    read: dict[str, str] = {}
    with Reader() as reader:
        for candidate in find_candidates([path]):
            try:
                read[str(candidate.member)] = reader.read(candidate).decode()
            except ReplayError as error:
                read[str(candidate.member)] = error.reason
    assert read == {
        **{"a/x.slp": "first", "a/hard.slp": "first", "a/y.slp": "second"},
        **{"a/ahead.slp": "third", "a/chain.slp": "third", "z.slp": "third"},
        **dict.fromkeys(("outside.slp", "folder.slp", "loop.slp"), "lost_link"),
    }


def test_a_tar_of_several_zstandard_frames_is_read_to_its_end(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", "w")
    data, pack = (tmp_path / "a.tar").read_bytes(), zstandard.ZstdCompressor().compress
    (tmp_path / "a.tar").unlink()
    (tmp_path / "a.tar.zst").write_bytes(pack(data[:1500]) + pack(data[1500:]))
    assert contents(find_candidates([tmp_path])) == [b"second", b"first", b"third"]


def test_sources_that_are_not_there_or_of_no_known_kind_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found nothing there"):
        find_candidates([tmp_path / "nothing"])
    (tmp_path / "a.doc").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"must be a folder or end in .*\.tar\.zst, found '\.doc'"):
        find_candidates([tmp_path / "a.doc"])


def test_folders_that_cannot_be_told_apart_by_name_are(tmp_path: Path) -> None:
    os.mkdir(tmp_path / "x.slp")  # noqa: PTH102 (a folder named like a replay)
    (tmp_path / "x.slp" / "a.slp").write_bytes(b"first")
    assert contents(find_candidates([tmp_path])) == [b"first"]


def write_7z(path: Path, files: dict[str, bytes]) -> Path:
    py7zr = pytest.importorskip("py7zr", reason="the extra [7z] is not installed")
    with py7zr.SevenZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writef(io.BytesIO(data), name)
    return path


def test_a_7z_is_read_member_by_member_forwards_and_backwards(tmp_path: Path) -> None:
    files = {**FILES, "日本.slp": b"fourth", "none.slp": b"", "z.slp.gz": gzip.compress(b"fifth")}
    found = find_candidates([write_7z(tmp_path / "a.7z", files)])
    names = ["b.slp", "deep/a.slp", "c.SLP", "日本.slp", "none.slp", "z.slp.gz"]
    expected = [b"second", b"first", b"third", b"fourth", b"", b"fifth"]
    assert [candidate.member for candidate in found] == names
    assert contents(found) == expected
    assert contents(found[::-1]) == expected[::-1]
    assert contents(found[1:2] * 2) == [b"first"] * 2
    assert sorted(tmp_path.iterdir()) == [tmp_path / "a.7z"]


def test_a_folder_in_a_7z_that_is_named_like_a_replay_is_none_and_a_link_is_told(tmp_path: Path) -> None:
    py7zr = pytest.importorskip("py7zr", reason="the extra [7z] is not installed")
    (tmp_path / "folder.slp").mkdir()
    (tmp_path / "folder.slp" / "a.slp").write_bytes(b"first")
    (tmp_path / "folder.slp" / "link.slp").symlink_to("a.slp")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.writeall(tmp_path / "folder.slp", "folder.slp")
    file, link = find_candidates([tmp_path / "a.7z"])
    assert (file.member, contents([file])) == ("folder.slp/a.slp", [b"first"])
    assert (link.member, link.fault) == ("folder.slp/link.slp", "lost_link")


def test_members_of_a_7z_that_share_a_name_are_told_apart(tmp_path: Path) -> None:
    py7zr = pytest.importorskip("py7zr", reason="the extra [7z] is not installed")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        for data in (b"first", b"second", b"third"):
            archive.writef(io.BytesIO(data), "a.slp")
    assert contents(find_candidates([tmp_path])) == [b"first", b"second", b"third"]


def test_a_member_of_a_7z_that_is_larger_than_a_replay_is_left_packed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "MAX_REPLAY_BYTES", 100)
    monkeypatch.setattr(sevenzip, "UNPACKED_BYTES", 50)
    found = find_candidates([write_7z(tmp_path / "a.7z", {"bomb.slp": bytes(101), "b.slp": b"second"})])
    with pytest.raises(ReplayError) as caught:
        contents(found[:1])
    assert caught.value.reason == "too_large"
    assert contents(found[1:]) == [b"second"]


def test_a_member_of_a_7z_that_is_named_to_lie_outside_is_left_packed(tmp_path: Path) -> None:
    py7zr = pytest.importorskip("py7zr", reason="the extra [7z] is not installed")
    with py7zr.SevenZipFile(tmp_path / "a.7z", "w") as archive:
        archive.set_encoded_header_mode(False)
        archive.writef(io.BytesIO(b"first"), "xx/outside.slp")
        archive.writef(io.BytesIO(b"second"), "b.slp")
    data = (tmp_path / "a.7z").read_bytes().replace("xx/".encode("utf-16-le"), "../".encode("utf-16-le"))
    offset, size = struct.unpack("<QQ", data[12:28])
    start = data[12:28] + struct.pack("<I", zlib.crc32(data[32 + offset : 32 + offset + size]))
    (tmp_path / "a.7z").write_bytes(data[:8] + struct.pack("<I", zlib.crc32(start)) + start + data[32:])
    outside, inside = find_candidates([tmp_path / "a.7z"])
    assert (outside.member, contents([inside])) == ("../outside.slp", [b"second"])
    with pytest.raises(ReplayError) as caught:
        contents([outside])
    assert caught.value.reason == "damaged_archive"


def test_a_7z_for_which_there_is_no_room_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = find_candidates([write_7z(tmp_path / "a.7z", FILES)])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=5))
    with pytest.raises(ConfigError, match=r"needs 0\.00 GB to unpack into, found less in .*; set TMPDIR"):
        contents(found)


@pytest.mark.parametrize("unpacked_bytes", [1, 12, 2**32])
def test_a_7z_that_is_unpacked_in_parts_is_read_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unpacked_bytes: int
) -> None:
    monkeypatch.setattr(sevenzip, "UNPACKED_BYTES", unpacked_bytes)
    found = find_candidates([write_7z(tmp_path / "a.7z", FILES)])
    assert contents([*found, *found[::-1]]) == [b"second", b"first", b"third", b"third", b"first", b"second"]


def test_a_damaged_7z_is_counted_and_never_hangs(tmp_path: Path) -> None:
    path = write_7z(tmp_path / "a.7z", {f"{i}.slp": os.urandom(2000) for i in range(5)})
    found = find_candidates([path])
    data = bytearray(path.read_bytes())
    data[5000] ^= 0xFF
    path.write_bytes(bytes(data))
    reasons = []
    with Reader() as reader:
        for candidate in found:
            try:
                reader.read(candidate)
            except ReplayError as error:
                reasons.append(error.reason)
    assert set(reasons) == {"damaged_archive"}
    path.write_bytes(bytes(data[:3000]))
    assert [candidate.member for candidate in find_candidates([path])] == [None]


def test_a_7z_without_py7zr_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py7zr", None)
    (tmp_path / "a.7z").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"need py7zr, found none installed; pip install 'exphil\[7z\]'"):
        find_candidates([tmp_path])


def test_names_in_any_encoding_are_read_and_can_be_kept(tmp_path: Path) -> None:
    names = [b"caf\x82.slp", "対戦ソ.slp".encode("shift-jis"), "対戦.slp".encode()]  # cp437, a backslash within, UTF-8
    with tarfile.open(tmp_path / "a.tar", "w", encoding="utf-8", errors="surrogateescape") as tar:
        for name in names:
            info = tarfile.TarInfo(os.fsdecode(name))
            info.size = len(name)
            tar.addfile(info, io.BytesIO(name))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for number, name in enumerate(names):
            archive.writestr(f"{number}{'x' * (len(name) - 1)}", name)
    data = (tmp_path / "b.zip").read_bytes()
    for number, name in enumerate(names):
        data = data.replace(f"{number}{'x' * (len(name) - 1)}".encode(), name)  # in both of zip's records
    (tmp_path / "b.zip").write_bytes(data)
    (tmp_path / os.fsdecode(names[1])).write_bytes(names[1])
    found = find_candidates([tmp_path])
    assert sorted(contents(found)) == sorted([*names, *names, names[1]])
    for is_kept in (True, False):
        written = [Names(b"salt", is_kept).of(candidate.member or candidate.source) for candidate in found]
        assert len(set(written)) == 7
        assert all(name is not None and name.encode() for name in written)


@pytest.mark.parametrize(
    "name", ["a.slpz", "b.zlp", "c.slp.zst", "D.SLP.XZ", "e.slp.bz2", "f.rar", "g.tar.lz4", "h.slpp"]
)
def test_what_other_programs_pack_is_counted_with_what_to_do(tmp_path: Path, name: str) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / name).write_bytes(b"packed")
    (source / f"._{name}").write_bytes(b"a shadow")
    with zipfile.ZipFile(source / "members.zip", "w") as archive:
        archive.writestr(f"deep/{name}", b"packed")
    options = IngestOptions(workers=1)
    report = ingest([source], tmp_path / "store", options)
    assert (report.replays_found, report.failures) == (2, {"foreign_format": 2})
    assert ingest([source / name], tmp_path / "store", options).replays_new == 0, "known by the next run"
    assert "unpack it with that" in SENTENCES["foreign_format"]


@pytest.mark.parametrize("name", ["a.slp", "a.slp.gz", "a.tar.zst", "a.tar.xz", "a.zip", "a.zst", "a.txt", "slpz"])
def test_no_other_file_is_taken_for_what_another_program_packed(name: str) -> None:
    assert not is_foreign(name)
