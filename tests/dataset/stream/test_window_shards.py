import io
import json
import tarfile
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import zstandard

from dataset.codecs.registry import get_codec
from dataset.errors import SchemaError, ShardError
from dataset.features.layout import INDEX_ROW
from dataset.stream.window_shards import Packed, Sample, pack, read_packed, read_shard, unpack
from tests.dataset.builders import random_sample, shard_of


def _bytes(sample: Sample) -> tuple[object, ...]:
    about = (sample.id, sample.ports, sample.characters, sample.stage, sample.num_frames)
    arrays = (sample.frames, sample.encoded.continuous, sample.encoded.indices, sample.classes)
    return about + tuple((array.dtype.str, array.shape, array.tobytes()) for array in arrays)


@pytest.fixture
def samples() -> list[Sample]:
    return [random_sample(num_frames, seed) for seed, num_frames in enumerate((200, 1, 61))]


def test_a_sample_comes_back_exactly(samples: list[Sample]) -> None:
    assert [_bytes(unpack(*pack(sample))) for sample in samples] == [_bytes(sample) for sample in samples]


def test_a_shard_comes_back_exactly_and_in_order(samples: list[Sample]) -> None:
    assert [_bytes(sample) for sample in read_shard(shard_of(samples))] == [_bytes(sample) for sample in samples]
    assert list(read_shard(shard_of([]))) == []


def test_the_same_samples_give_the_same_bytes(samples: list[Sample]) -> None:
    assert shard_of(samples) == shard_of([unpack(*pack(sample)) for sample in samples])
    assert shard_of(samples) != shard_of(samples[::-1])


def test_a_view_of_strided_numbers_packs_as_its_copy_does(samples: list[Sample]) -> None:
    sample = samples[0]
    strided = np.asfortranarray(sample.classes)
    assert pack(Sample(**{**vars(sample), "classes": strided})) == pack(sample)


def test_a_plain_tar_loop_reads_a_shard(samples: list[Sample]) -> None:
    with tarfile.open(fileobj=io.BytesIO(shard_of(samples))) as tar:
        names = tar.getnames()
        about = [json.load(tar.extractfile(name) or io.BytesIO()) for name in names if name.endswith(".json")]
    assert names == [f"{sample.id}.{suffix}" for sample in samples for suffix in ("json", "zst")]
    assert about[0] == {
        "layout": 2,
        "id": samples[0].id,
        "ports": [1, 3],
        "characters": [16, 22],
        "stage": 4,
        "frames": 200,
        "components": 13,
    }


def test_webdataset_itself_reads_a_shard(samples: list[Sample]) -> None:
    tariterators = pytest.importorskip("webdataset.tariterators")
    sources = [{"stream": io.BytesIO(shard_of(samples)), "url": "train-000000.tar"}]
    rows = tariterators.group_by_keys(tariterators.tar_file_expander(sources))
    assert [_bytes(unpack(row["json"], row["zst"])) for row in rows] == [_bytes(sample) for sample in samples]


def test_numbers_of_another_layout_are_refused_with_the_way_out(samples: list[Sample]) -> None:
    about, packed = pack(samples[0])
    numbers = zstandard.ZstdDecompressor().decompress(packed)
    for changed in (numbers[:-2], numbers + b"00"):
        with pytest.raises(
            SchemaError, match=rf"sample {samples[0].id}: .* found {len(changed):,}; run 'exphil encode'"
        ):
            unpack(about, zstandard.ZstdCompressor().compress(changed))


def test_a_sample_of_an_older_layout_is_refused_with_the_way_out(samples: list[Sample]) -> None:
    about, packed = pack(samples[0])
    older = json.dumps({key: value for key, value in json.loads(about).items() if key != "layout"}).encode()
    with pytest.raises(SchemaError, match="must be of layout 2, found 1; run 'exphil encode'"):
        unpack(older, packed)


def header_with(shard: bytes, **fields: bytes) -> bytes:
    """A shard whose first header has other fields and the checksum that belongs to them."""
    places = {
        "name": (0, 100),
        "size": (124, 12),
        "type": (156, 1),
        "link": (157, 100),
        "magic": (257, 8),
        "prefix": (345, 155),
    }
    header = bytearray(shard[:512])
    for name, value in fields.items():
        start, length = places[name]
        header[start : start + length] = value.ljust(length, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + shard[512:]


def tar_of(*named: tuple[str, bytes], **more: Any) -> bytes:
    """A tar as others write it."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **more) as tar:
        for name, data in named:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return file.getvalue()


ONE = random_sample(9, 1)
GOOD, PACKED = shard_of([ONE]), pack(ONE)
JSON, ZST = (f"{ONE.id}.json", PACKED.about), (f"{ONE.id}.zst", PACKED.numbers)

TARS = {
    "size below 0": header_with(GOOD, size=b"-0000000012"),
    "size below 0 in base 256": header_with(GOOD, size=b"\xff" * 12),
    "size that is no number": header_with(GOOD, size=b"00000000x75"),
    "size beyond the end": header_with(GOOD, size=b"77777777777"),
    "size in base 256": header_with(GOOD, size=b"\x80" + (2**60).to_bytes(11, "big")),
    "symlink": header_with(GOOD, type=b"2", link=b"/etc/passwd"),
    "folder": header_with(GOOD, type=b"5"),
    "prefix": header_with(GOOD, prefix=b"/etc"),
    "name that leads out": header_with(GOOD, name=b"../../x.json"),
    "name of the root": header_with(GOOD, name=b"/etc/passwd.json"),
    "foreign suffix": header_with(GOOD, name=f"{ONE.id}.py".encode()),
    "no suffix": header_with(GOOD, name=b"x"),
    "suffix alone": header_with(GOOD, name=b".json"),
    "name after the name": header_with(GOOD, name=f"{ONE.id}.json\0x".encode()),
    "another checksum": GOOD[:148] + b"000000" + GOOD[154:],
    "long name": tar_of((f"{'x' * 200}.json", b"{}"), format=tarfile.GNU_FORMAT),
    "pax headers": tar_of(JSON, ZST, format=tarfile.PAX_FORMAT, pax_headers={"comment": "x"}),
    "no numbers": tar_of(JSON, format=tarfile.USTAR_FORMAT),
    "numbers first": tar_of(ZST, JSON, format=tarfile.USTAR_FORMAT),
    "json twice": tar_of(JSON, JSON, ZST, format=tarfile.USTAR_FORMAT),
    "numbers of another": tar_of(JSON, (f"{2:032x}.zst", PACKED.numbers), format=tarfile.USTAR_FORMAT),
    "no end": GOOD.rstrip(b"\0"),
    "one block of end": GOOD[: len(GOOD.rstrip(b"\0")) // 512 * 512 + 1024],
    "more after the end": GOOD + bytes(512) + b"x",
    "gzip": b"\x1f\x8b" + bytes(600),
    "nothing": b"",
}


@pytest.mark.parametrize("shard", TARS.values(), ids=TARS)
def test_a_tar_that_exphil_did_not_write_is_refused(shard: bytes) -> None:
    assert [sample.id for sample in read_shard(GOOD)] == [ONE.id]
    with pytest.raises(ShardError, match=r"run 'exphil encode'") as error:
        list(read_packed(shard))
    assert str(error.value).isprintable()


HUGE = 2**31 - 1
EMPTY_OF_HUGE = b"\x28\xb5\x2f\xfd\xe0" + (HUGE * len(zstandard.decompress(PACKED.numbers)) // 9).to_bytes(8, "little")
"""A zstd frame that announces the numbers of 2^31 - 1 frames."""

ABOUT: dict[str, Any] = {
    "frames 2^40": {"frames": 2**40},
    "frames -1": {"frames": -1},
    "frames 0": {"frames": 0},
    "frames x": {"frames": "x"},
    "frames true": {"frames": True},
    "frames 9.0": {"frames": 9.0},
    "frames more": {"frames": 10},
    "components 2^40": {"components": 2**40},
    "components -1": {"components": -1},
    "components more": {"components": 14},
    "ports of one": {"ports": [1]},
    "ports 5": {"ports": [1, 5]},
    "ports twice": {"ports": [2, 2]},
    "ports of text": {"ports": "12"},
    "characters of null": {"characters": None},
    "characters 999": {"characters": [999, 1]},
    "stage 7": {"stage": 7},
    "id of another": {"id": "x"},
    "id with a path": {"id": "../x"},
    "id of a list": {"id": [ONE.id]},
    "layout of a map": {"layout": {}},
}


@pytest.mark.parametrize("changes", ABOUT.values(), ids=ABOUT)
def test_a_sample_that_announces_nonsense_is_refused_before_it_takes_memory(changes: dict[str, Any]) -> None:
    about = json.dumps(json.loads(PACKED.about) | changes).encode()
    with pytest.raises(ShardError, match=r"run 'exphil encode'"):
        list(read_packed(tar_of((f"{ONE.id}.json", about), ZST, format=tarfile.USTAR_FORMAT)))


@pytest.mark.parametrize(
    ("about", "numbers"),
    [
        (b"[]", PACKED.numbers),
        (b"null", PACKED.numbers),
        (b"[" * 100_000, PACKED.numbers),
        (b"\xff\xfe", PACKED.numbers),
        (PACKED.about[:-1] + b" " * 5000 + b"}", PACKED.numbers),
        (PACKED.about, b""),
        (PACKED.about, b"junk"),
        (PACKED.about, PACKED.numbers[:2]),
        (PACKED.about.replace(b'"frames":9', b'"frames":%d' % HUGE), EMPTY_OF_HUGE),
    ],
    ids=["list", "null", "nested", "no UTF-8", "long", "no zstd", "junk zstd", "cut zstd", "zstd of 480 GB"],
)
def test_members_that_are_no_json_or_no_zstd_are_refused(about: bytes, numbers: bytes) -> None:
    members = ((f"{ONE.id}.json", about), (f"{ONE.id}.zst", numbers))
    with pytest.raises(ShardError, match=r"run 'exphil encode'"):
        list(read_packed(tar_of(*members, format=tarfile.USTAR_FORMAT)))


def test_numbers_that_are_damaged_or_beyond_their_tables_are_refused() -> None:
    codec = get_codec("axis17")
    assert unpack(*PACKED, codec).id == ONE.id
    beyond, backwards = random_sample(9, 1), random_sample(9, 1)
    beyond.encoded.indices[INDEX_ROW["a_character"], 3] = 33
    backwards.frames[4] = backwards.frames[3]
    classes = ONE.classes.copy()
    classes[1, 2, 5] = 255
    for packed, found in (
        (Packed(PACKED.about, PACKED.numbers[:-5]), "damage|found"),
        (pack(beyond), "index a_character must be below 33, found 33"),
        (pack(backwards), "frame numbers must strictly increase"),
        (pack(replace(ONE, classes=classes)), "class .* found 255"),
        (pack(replace(ONE, classes=classes[:, :4])), "components must be 13, found 4"),
    ):
        with pytest.raises(ShardError, match=found):
            unpack(*packed, codec)
