"""Window shards: plain tar files in WebDataset's layout, one replay a sample, encoded from side a, column-major, zstd.

A sample has two members: ``<id>.json`` (what it is) and ``<id>.zst`` (its numbers, column after column). Writing is
deterministic: equal frames give equal bytes. Columns that move smoothly are stored as differences of their bit patterns. Both
players' views are made of one sample when it is read, by ``dataset.features.encoder.perspective``.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from dataset.errors import SchemaError
from dataset.features.encoder import Encoded
from dataset.features.layout import FEATURE_ROW, FEATURES, INDICES
from dataset.schema import SIDES

LAYOUT = 2
"""Changes whenever the format of a sample's bytes does."""

_COMPRESSION = zstandard.ZstdCompressionParameters.from_level(1, window_log=18)
"""Looking back 256 KiB instead of 512 takes a seventh less time, and 1 % more bytes."""

_COPIED_BYTES = 2**20
"""Written to a shard at a time; tarfile's own 16 KiB take many calls."""

_SMOOTH = ("x", "y", "ledge", "speed_air_x", "speed_attack_x")
_DIFFERENCED = [
    FEATURE_ROW[name]
    for name in ("frame", "dx", "dy", "distance", *(f"{side}_{name}" for side in SIDES for name in _SMOOTH))
]
"""Features stored as differences from frame to frame, modulo 2^16 on their bits. On 40 Falco games these 14 and the frame
numbers take a sample from 21.9 to 14.5 bytes per frame; differences of all features would give 13.1, at twice the time."""


@dataclass(frozen=True)
class Sample:
    """One encoded replay."""

    id: str
    """Content hash of the replay."""
    ports: tuple[int, int]
    """Physical ports of sides a and b, ascending, 1–4."""
    characters: tuple[int, int]
    """Internal ids of the characters picked by sides a and b (from Game Start)."""
    stage: int
    """Stage index."""
    frames: NDArray[np.int32]
    """[N] Slippi frame indices, strictly increasing."""
    encoded: Encoded
    """Features and indices [·, N] from side a."""
    classes: NDArray[np.uint8]
    """[2, K, N] the codec's classes of both sides' controllers; row t acted in frame t."""

    @property
    def num_frames(self) -> int:
        """Rows of the replay."""
        return len(self.frames)


class Packed(NamedTuple):
    """A sample as a shard holds it: its two members."""

    about: bytes
    """JSON."""
    numbers: bytes
    """Compressed columns."""


def pack(sample: Sample) -> Packed:
    """The two members of a sample."""
    about = {
        "layout": LAYOUT,
        "id": sample.id,
        "ports": sample.ports,
        "characters": sample.characters,
        "stage": sample.stage,
        "frames": sample.num_frames,
        "components": sample.classes.shape[1],
    }
    numbers = np.empty(_size(sample.num_frames, sample.classes.shape[1]), dtype=np.uint8)
    frames, continuous, indices, classes = _views(numbers, sample.num_frames, sample.classes.shape[1])
    frames[:1], frames[1:] = sample.frames[:1], np.diff(sample.frames)
    continuous[:] = sample.encoded.continuous
    bits, whole = continuous.view("<u2"), sample.encoded.continuous.view("<u2")
    for row in _DIFFERENCED:
        np.subtract(whole[row, 1:], whole[row, :-1], out=bits[row, 1:])
    indices[:], classes[:] = sample.encoded.indices, sample.classes
    packed = zstandard.ZstdCompressor(compression_params=_COMPRESSION).compress(numbers.data)
    return Packed(json.dumps(about, separators=(",", ":")).encode(), packed)


def _size(num_frames: int, components: int) -> int:
    """Bytes of a sample's numbers."""
    return num_frames * (4 + 2 * len(FEATURES) + 2 * len(INDICES) + 2 * components)


def _views(
    numbers: NDArray[np.uint8], num_frames: int, components: int
) -> tuple[NDArray[np.int32], NDArray[np.float16], NDArray[np.uint16], NDArray[np.uint8]]:
    """A sample's frames [N], features [C, N], indices [I, N] and classes [2, K, N], which lie in ``numbers`` in this order."""
    ends = np.cumsum([4 * num_frames, 2 * len(FEATURES) * num_frames, 2 * len(INDICES) * num_frames])
    frames, continuous, indices, classes = np.split(numbers[: _size(num_frames, components)], ends)
    return (
        frames.view("<i4"),
        continuous.view("<f2").reshape(len(FEATURES), num_frames),
        indices.view("<u2").reshape(len(INDICES), num_frames),
        classes.reshape(2, components, num_frames),
    )


@dataclass(frozen=True)
class About:
    """The JSON member of a sample."""

    id: str
    ports: tuple[int, int]
    characters: tuple[int, int]
    stage: int
    num_frames: int
    components: int
    """Controller components K."""


def read_about(about_json: bytes) -> About:
    """Read the JSON member of a sample.

    Raises:
        SchemaError: it is of another layout.
    """
    about = json.loads(about_json)
    if about.get("layout") != LAYOUT:
        raise SchemaError(
            f"sample {about['id']}: window shards must be of layout {LAYOUT}, found {about.get('layout', 1)}; "
            "run 'exphil encode' to write them again"
        )
    ports, characters = tuple(about["ports"]), tuple(about["characters"])
    return About(about["id"], ports, characters, about["stage"], about["frames"], about["components"])


def unpack(about_json: bytes, packed: bytes) -> Sample:
    """The sample of two members.

    Raises:
        SchemaError: it is of another layout, or the numbers are not of the size that ``about_json`` announces.
    """
    about = read_about(about_json)
    num_frames, components = about.num_frames, about.components
    expected = _size(num_frames, components)
    numbers = np.empty(expected + 1, dtype=np.uint8)  # one more, to see that there is no more
    with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
        found = reader.readinto(numbers)
    if found != expected:
        raise SchemaError(
            f"sample {about.id}: {num_frames} frames take {expected} bytes in this encoder's layout, found "
            f"{'more' if found > expected else found}; run 'exphil encode' to write the window shards again"
        )
    frames, continuous, indices, classes = _views(numbers, num_frames, components)
    np.cumsum(frames, out=frames)
    bits = continuous.view("<u2")
    for row in _DIFFERENCED:
        np.cumsum(bits[row], dtype=np.uint16, out=bits[row])
    return Sample(
        id=about.id,
        ports=about.ports,
        characters=about.characters,
        stage=about.stage,
        frames=frames,
        encoded=Encoded(continuous, indices),
        classes=classes,
    )


def open_shard(file: BinaryIO) -> tarfile.TarFile:
    """An empty shard to add samples to; close it, then ``file``."""
    return tarfile.TarFile(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT, copybufsize=_COPIED_BYTES)


def add_sample(tar: tarfile.TarFile, sample: Sample) -> None:
    """Append one sample to an open shard."""
    add_packed(tar, sample.id, pack(sample))


def add_packed(tar: tarfile.TarFile, id_: str, packed: Packed) -> None:
    """Append one packed sample to an open shard."""
    for suffix, data in zip(("json", "zst"), packed, strict=True):
        member = tarfile.TarInfo(f"{id_}.{suffix}")
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))


def read_shard(data: bytes) -> Iterator[Sample]:
    """The samples in the bytes of a shard, which the caller has checked against the manifest."""
    for packed in read_packed(data):
        yield unpack(*packed)


def read_packed(data: bytes) -> Iterator[Packed]:
    """The same samples, not yet unpacked."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        members = {member.name: member for member in tar.getmembers()}
        for name in members:
            if name.endswith(".json"):
                parts = (tar.extractfile(members[name]), tar.extractfile(members[name.removesuffix("json") + "zst"]))
                yield Packed(*(part.read() for part in parts if part is not None))


def count_samples(data: bytes) -> int:
    """How many samples a shard holds, read from its tar headers alone; tarfile would take 30 times as long."""
    counts = {b"json": 0, b"zst": 0}
    offset = 0
    while offset + tarfile.BLOCKSIZE <= len(data) and data[offset]:
        name, size = data[offset : offset + 100].rstrip(b"\0"), int(data[offset + 124 : offset + 135], base=8)
        counts[name.rpartition(b".")[2]] += 1
        offset += tarfile.BLOCKSIZE * (1 + -(-size // tarfile.BLOCKSIZE))
    return min(counts.values())
