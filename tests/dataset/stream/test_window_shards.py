import io
import json
import tarfile

import numpy as np
import pytest
import zstandard

from dataset.errors import SchemaError
from dataset.stream.window_shards import Sample, pack, read_shard, unpack
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
    for found, changed in ((len(numbers) - 2, numbers[:-2]), ("more", numbers + b"00")):
        with pytest.raises(SchemaError, match=rf"sample {samples[0].id}: .* found {found}; run 'exphil encode'"):
            unpack(about, zstandard.ZstdCompressor().compress(changed))


def test_a_sample_of_an_older_layout_is_refused_with_the_way_out(samples: list[Sample]) -> None:
    about, packed = pack(samples[0])
    older = json.dumps({key: value for key, value in json.loads(about).items() if key != "layout"}).encode()
    with pytest.raises(SchemaError, match="must be of layout 2, found 1; run 'exphil encode'"):
        unpack(older, packed)
