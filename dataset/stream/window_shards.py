"""Window shards: plain tar files in WebDataset's layout, one replay a sample, encoded from side a, column-major, zstd.

A sample has two members: ``<id>.json`` (what it is) and ``<id>.zst`` (its numbers, column after column). Writing is
deterministic: equal frames give equal bytes. Columns that move smoothly are stored as differences of their bit patterns. Both
players' views are made of one sample when it is read, by ``dataset.features.encoder.perspective``.
"""

import io
import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np
import zstandard
from numpy.typing import NDArray

from dataset.codecs.base import Codec
from dataset.errors import ShardError
from dataset.features.encoder import Encoded
from dataset.features.layout import FEATURE_ROW, FEATURES, INDICES
from dataset.io.json_object import parse_object
from dataset.melee.ids import NUM_CHARACTERS, NUM_STAGES
from dataset.schema import SIDES
from dataset.stream.tar_members import members

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

_ABOUT = {
    "ports": (2, 1, 4),
    "characters": (2, 0, NUM_CHARACTERS - 1),
    "stage": (0, 0, NUM_STAGES - 1),
    "frames": (0, 1, 2**31 - 1),
    "components": (0, 1, 64),
}
"""Numbers that a sample's JSON holds: how many in a list (0: one number and no list), the least and the greatest."""

_LONGEST_ABOUT = 4096
_ZSTD_HEADER = 32
_ALWAYS_HELD, _DENSEST = 2**28, 1024
"""Bytes that the numbers of any sample may take (five hours of play), and how many times its packed bytes a longer one may."""

_REMEDY = "run 'exphil encode' to write the window shards again"


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
        ShardError: it is of another layout, or holds what no sample is.
    """
    try:
        about = parse_object(about_json, _LONGEST_ABOUT)
    except ValueError as error:
        raise ShardError(f"window shard: a sample's JSON must be an object, found {error}; {_REMEDY}") from error
    id_ = about.get("id")
    if not (isinstance(id_, str) and re.fullmatch("[0-9A-Za-z_-]{1,80}", id_)):
        raise ShardError(f"window shard: a sample's id must be letters and digits, found {ascii(id_)[:60]}; {_REMEDY}")
    if about.get("layout") != LAYOUT:
        raise ShardError(
            f"sample {id_}: window shards must be of layout {LAYOUT}, found {ascii(about.get('layout', 1))[:60]}; {_REMEDY}"
        )
    for key, (length, lowest, highest) in _ABOUT.items():
        values = about.get(key) if length else [about.get(key)]
        if not (isinstance(values, list) and len(values) == (length or 1)) or not all(
            type(value) is int and lowest <= value <= highest for value in values
        ):
            what = f"{length or 'a'} whole number{'s' if length else ''} from {lowest} to {highest}"
            raise ShardError(f"sample {id_}: {key} must be {what}, found {ascii(about.get(key))[:60]}; {_REMEDY}")
    (port_a, port_b), (character_a, character_b) = about["ports"], about["characters"]
    if port_a >= port_b:
        raise ShardError(f"sample {id_}: ports must ascend, found {port_a} and {port_b}; {_REMEDY}")
    return About(
        id_, (port_a, port_b), (character_a, character_b), about["stage"], about["frames"], about["components"]
    )


def unpack(about_json: bytes, packed: bytes, codec: Codec | None = None) -> Sample:
    """The sample of two members.

    Args:
        about_json: its first member.
        packed: its second.
        codec: whose classes it must hold, where that matters.

    Raises:
        ShardError: it is of another layout, or the numbers are damaged, of another size than ``about_json`` announces, or
            beyond their tables.
    """
    about = read_about(about_json)
    _require_size(about, packed)
    numbers = np.empty(_size(about.num_frames, about.components), dtype=np.uint8)
    try:
        with zstandard.ZstdDecompressor().stream_reader(packed) as reader:
            found = reader.readinto(numbers)
    except zstandard.ZstdError as error:
        raise ShardError(f"sample {about.id}: its numbers must be zstd, found damage ({error}); {_REMEDY}") from error
    if found != len(numbers):
        raise _wrong_size(about, f"{found:,}")
    frames, continuous, indices, classes = _views(numbers, about.num_frames, about.components)
    if (frames[1:] <= 0).any() or frames.sum(dtype=np.int64) > np.iinfo(np.int32).max:
        raise ShardError(f"sample {about.id}: frame numbers must strictly increase, found others; {_REMEDY}")
    np.cumsum(frames, out=frames)
    bits = continuous.view("<u2")
    for row in _DIFFERENCED:
        np.cumsum(bits[row], dtype=np.uint16, out=bits[row])
    _require_below(about, "index", indices.max(axis=1), INDICES)
    if codec is not None:
        _require_below(about, "class", classes.max(axis=(0, 2)), codec.components)
    return Sample(
        id=about.id,
        ports=about.ports,
        characters=about.characters,
        stage=about.stage,
        frames=frames,
        encoded=Encoded(continuous, indices),
        classes=classes,
    )


def _require_size(about: About, packed: bytes) -> None:
    """Compare what a sample announces with what its numbers say that they take, before anything takes it."""
    expected = _size(about.num_frames, about.components)
    try:
        found = zstandard.get_frame_parameters(packed[:_ZSTD_HEADER]).content_size
    except zstandard.ZstdError as error:
        raise ShardError(f"sample {about.id}: its numbers must be zstd, found damage ({error}); {_REMEDY}") from error
    if found != expected:
        raise _wrong_size(about, f"{found:,}")
    if expected > max(_ALWAYS_HELD, _DENSEST * len(packed)):
        raise _wrong_size(about, f"{len(packed):,} packed ones, which hold no more than {_DENSEST:,} times as many")


def _wrong_size(about: About, found: str) -> ShardError:
    return ShardError(
        f"sample {about.id}: {about.num_frames:,} frames take {_size(about.num_frames, about.components):,} bytes in this "
        f"encoder's layout, found {found}; {_REMEDY}"
    )


def _require_below(about: About, what: str, highest: NDArray[np.integer], tables: Sequence[tuple[str, int]]) -> None:
    """Refuse values beyond their table, which would be looked up elsewhere, or nowhere."""
    if len(tables) != len(highest):
        raise ShardError(f"sample {about.id}: components must be {len(tables)}, found {len(highest)}; {_REMEDY}")
    for (name, size), found in zip(tables, highest.tolist(), strict=True):
        if found >= size:
            raise ShardError(f"sample {about.id}: {what} {name} must be below {size}, found {found}; {_REMEDY}")


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
    """The same samples, not yet unpacked; what they announce is checked against the size of their numbers.

    Raises:
        ShardError: the bytes are no shard; nothing was taken for what it only announces.
    """
    waiting: tuple[str, bytes] | None = None
    for id_, suffix, content in members(data):
        if (waiting is None) != (suffix == "json") or (waiting is not None and waiting[0] != id_):
            raise ShardError(
                f"sample {id_}: .json must be followed by the .zst of the same id, found others; {_REMEDY}"
            )
        if waiting is None:
            waiting = id_, bytes(content)
            continue
        packed = Packed(waiting[1], bytes(content))
        about = read_about(packed.about)
        if about.id != id_:
            raise ShardError(f"sample {id_}: must be of the id that names it, found {about.id}; {_REMEDY}")
        _require_size(about, packed.numbers)
        yield packed
        waiting = None
    if waiting is not None:
        raise ShardError(
            f"sample {waiting[0]}: .json must be followed by the .zst of the same id, found none; {_REMEDY}"
        )
