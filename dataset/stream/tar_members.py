"""The members of a window shard's tar, read from its headers alone; ``tarfile`` takes 30 times as long and believes them.

A shard may come from a stranger. So only what ``window_shards.open_shard`` writes is read: plain files, short names, octal sizes
that lie within the shard, right checksums, and two blocks of zeros at the end.
"""

import re
from collections.abc import Iterator

from dataset.errors import ShardError

BLOCK = 512

_NAME = re.compile(rb"([0-9A-Za-z_][0-9A-Za-z_-]{0,79})\.(json|zst)\0*")
_SIZE = re.compile(rb"([0-7]{11})\0")
_SUM = re.compile(rb"([0-7]{6})\0 ")
_REST = b"0" + bytes(100) + b"ustar\x0000"
"""A plain file's type, the link that it is not, and the format's mark."""


def members(data: bytes) -> Iterator[tuple[str, str, memoryview]]:
    """The id, the suffix and the bytes of every member, in order.

    Raises:
        ShardError: it is no tar, or holds anything that exphil does not write.
    """
    offset, whole = 0, memoryview(data)
    while any(header := data[offset : offset + BLOCK]):
        name, size = _name(header, offset), _size(header, offset)
        offset += BLOCK
        if size > len(data) - offset:
            raise _error(f"member {'.'.join(name)}: {size:,} bytes must follow", f"{len(data) - offset:,}")
        yield *name, whole[offset : offset + size]
        offset += -(-size // BLOCK) * BLOCK
    if len(data) - offset < 2 * BLOCK or any(data[offset:]):
        raise _error("the tar must end with two blocks of zeros and nothing after", f"another end at byte {offset:,}")


def _name(header: bytes, offset: int) -> tuple[str, str]:
    found = _NAME.fullmatch(header[:100])
    if found is None:
        raise _error("a member's name must be an id with .json or .zst", f"{header[:40]!r} at byte {offset:,}")
    return found[1].decode(), found[2].decode()


def _size(header: bytes, offset: int) -> int:
    size, checksum = _SIZE.fullmatch(header[124:136]), _SUM.fullmatch(header[148:156])
    is_sum = checksum is not None and int(checksum[1], 8) == sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if size is None or not is_sum or header[156:265] != _REST or any(header[345:]):
        raise _error("a member must be a plain file with a header as exphil writes it", f"another at byte {offset:,}")
    return int(size[1], 8)


def _error(rule: str, found: str) -> ShardError:
    return ShardError(f"window shard: {rule}, found {found}; run 'exphil encode' where the store was made")
