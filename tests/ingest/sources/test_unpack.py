import bz2
import gzip
import io
import lzma
import os
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from ingest.sources import find, unpack
from ingest.sources.find import find_candidates
from ingest.sources.reader import MAX_REPLAY_BYTES, Candidate, Reader

PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "bz2": bz2.compress,
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor().compress,
}
FREE = 2**20


def tar_of(*members: tuple[str, bytes | int]) -> bytes:
    """Members with their bytes, or with as many zeros."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            content = bytes(data) if isinstance(data, int) else data
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def told(path: Path) -> list[tuple[str | None, str | None]]:
    return [(one.member, one.fault) for one in find_candidates([path])]


def read(candidate: Candidate) -> bytes:
    with Reader() as reader:
        return reader.read(candidate)


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def with_checksum(header: bytes) -> bytes:
    blank = header[:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


@pytest.mark.parametrize("kind", PACKERS)
def test_what_comes_before_the_bytes_that_no_replays_have_is_found(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "FREE_BYTES", FREE)
    path = tmp_path / f"a.tar.{kind}"
    path.write_bytes(PACKERS[kind](tar_of(("a.slp", b"first"), ("zeros", 40 * FREE), ("b.slp", b"second"))))
    assert told(path) == [("a.slp", None), (None, "too_large_archive")]
    assert read(find_candidates([path])[0]) == b"first"


def test_zeros_cost_no_more_than_their_number(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.bz2"
    path.write_bytes(bz2.compress(tar_of(("a.slp", 2**26))))
    start = time.process_time()
    assert told(path) == [("a.slp", None)]
    assert time.process_time() - start < 5  # 25, if all is unpacked at once and copied for each block


@pytest.mark.parametrize("kind", PACKERS)
def test_an_archive_of_several_streams_is_read_to_its_end(tmp_path: Path, kind: str) -> None:
    tar = tar_of(("a.slp", os.urandom(40_000)), ("b.slp", b"second"))
    path = tmp_path / f"a.tar.{kind}"
    path.write_bytes(b"".join(PACKERS[kind](part) for part in (tar[:700], tar[700:30_000], tar[30_000:])))
    found = find_candidates([path])
    assert [one.member for one in found] == ["a.slp", "b.slp"]
    assert read(found[1]) == b"second"


@pytest.mark.parametrize("tail", [b"", b"wrong checksum"])
def test_a_gzip_whose_checksum_is_cut_or_wrong_loses_no_replay(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.tgz"
    path.write_bytes(gzip.compress(tar_of(("a.slp", b"first")))[:-8] + tail[:8])
    assert told(path) == [("a.slp", None)]


def test_a_gzip_header_with_all_its_parts_is_passed_over(tmp_path: Path) -> None:
    packed = gzip.compress(tar_of(("a.slp", b"first")))
    extras = b"\3\0abc" + b"name\0" + b"comment\0" + b"\0\0"
    path = tmp_path / "a.tar.gz"
    path.write_bytes(packed[:3] + bytes([4 | 8 | 16 | 2]) + packed[4:10] + extras + packed[10:])
    assert told(path) == [("a.slp", None)]


def test_a_cut_stream_gives_what_came_before_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    whole = gzip.compress(tar_of(("a.slp", b"first"), ("b.slp", os.urandom(200_000))))
    path.write_bytes(whole[:100_000])
    assert told(path)[0] == ("a.slp", None)
    assert told(path)[-1] == (None, "damaged_archive")


def test_a_hundred_gigabytes_of_replays_are_listed(tmp_path: Path) -> None:
    info = tarfile.TarInfo()
    info.size, path = 10**8, tmp_path / "a.tar"
    with path.open("wb") as file:  # with holes where the replays would be
        for number in range(1000):
            info.name = f"{number}.slp"
            file.write(info.tobuf())
            file.seek(-(-info.size // 512) * 512, os.SEEK_CUR)
        file.write(bytes(1024))
    assert told(path) == [(f"{number}.slp", None) for number in sorted(range(1000))]


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
def test_a_tar_that_leads_backwards_ends(tmp_path: Path, kind: bytes) -> None:
    header = bytearray(tar_of(("b.slp", b""))[:512])
    header[156:157] = kind
    header[124:136] = b"\xff" * 10 + b"\xfe\0"  # minus one block: back to this header
    (tmp_path / "a.tar").write_bytes(tar_of(("a.slp", b"first"))[:1024] + with_checksum(bytes(header)) + bytes(1024))
    assert told(tmp_path / "a.tar") == [("a.slp", None), (None, "damaged_archive")]


@pytest.mark.parametrize("kind", ["tar", "tar.gz"])
@pytest.mark.parametrize("attributes", [{"size": "-2048"}, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}])
def test_extended_headers_that_lead_backwards_or_hold_endless_maps_end(
    tmp_path: Path, kind: str, attributes: dict[str, str]
) -> None:
    first, second = tarfile.TarInfo("a.slp"), tarfile.TarInfo("b.slp")
    second.pax_headers = attributes
    data = first.tobuf() + second.tobuf(tarfile.PAX_FORMAT) + b"99999999\n" + b"1\n" * 2 * 10**6
    (tmp_path / f"a.{kind}").write_bytes(data if kind == "tar" else gzip.compress(data))
    with little_memory():
        assert told(tmp_path / f"a.{kind}") == [("a.slp", None), (None, "damaged_archive")]


def test_a_long_extended_header_is_refused_unread(tmp_path: Path) -> None:
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2**26
    (tmp_path / "a.tar").write_bytes(tarfile.TarInfo("a.slp").tobuf() + header.tobuf(tarfile.GNU_FORMAT))
    os.truncate(tmp_path / "a.tar", 2**27)
    with little_memory():
        assert told(tmp_path / "a.tar") == [("a.slp", None), (None, "damaged_archive")]


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_members_beyond_the_number_that_an_archive_may_have_are_refused(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "MAX_MEMBERS", 2)
    monkeypatch.setattr(unpack, "PIECE_BYTES", 2**9)  # shorter lists cannot hold too many
    path = tmp_path / f"a.{kind}"
    if kind == "tar":
        path.write_bytes(tar_of(*((f"{number}.slp", b"data") for number in range(3))))
        assert told(path) == [("0.slp", None), ("1.slp", None), (None, "too_large_archive")]
        return
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(20):
            archive.writestr(f"{number}.slp", b"data")
    assert told(path) == [(None, "too_large_archive")]


def test_a_zip_of_many_names_for_the_same_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE_BYTES", FREE)
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.slp", bytes(FREE))
        first = archive.infolist()[0]
        for number in range(1, 10):
            other = zipfile.ZipInfo(f"{number}.slp")
            for name in ("file_size", "compress_size", "CRC", "header_offset", "compress_type"):
                setattr(other, name, getattr(first, name))
            archive.filelist.append(other)
    assert told(path) == [("0.slp", None), (None, "too_large_archive")]


def test_a_member_that_is_larger_than_a_replay_does_not_hide_those_behind_it(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.slp", b"data")
        archive.writestr("1.slp", b"data")
        archive.infolist()[0].file_size = 2**40
    assert told(tmp_path / "a.zip") == [("0.slp", None), ("1.slp", None)]


def test_a_bzip2_member_of_a_zip_is_unpacked_piece_by_piece(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.slp", bytes(MAX_REPLAY_BYTES // 2))
    (found,) = find_candidates([tmp_path / "a.zip"])
    with little_memory(), Reader() as reader:
        assert reader.read(found, 10) == bytes(10)
    assert read(found) == bytes(MAX_REPLAY_BYTES // 2)


def test_a_7z_that_declares_far_more_than_replays_have_is_refused_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [(0, "a.slp", 100, None, None), (1, "zeros", 2**50, None, None), (2, "b.slp", 100, None, None)]
    monkeypatch.setattr(find, "list_members", lambda path: members)
    (tmp_path / "a.7z").write_bytes(b"")
    assert told(tmp_path / "a.7z") == [("a.slp", None), (None, "too_large_archive")]


@pytest.mark.parametrize("has_pax", [False, True])
def test_a_member_that_is_larger_than_any_disk_ends_the_list(has_pax: bool, tmp_path: Path) -> None:
    member = tarfile.TarInfo("game.slp")
    member.size = 2**62
    if has_pax:
        member.pax_headers = {"size": str(2**62)}
    kind = tarfile.PAX_FORMAT if has_pax else tarfile.GNU_FORMAT
    (tmp_path / "endless.tar.gz").write_bytes(gzip.compress(member.tobuf(kind) + bytes(1024)))
    begin = time.process_time()
    found = find_candidates([tmp_path])
    assert time.process_time() - begin < 5
    assert found[-1].fault == "damaged_archive"
