"""``--max-replays``: a part of the train split, for learning what more data is worth.

In: packed replays, how many to keep, a seed. Out: those replays, in their order. The surprise: which ones is decided by a hash of
seed and replay id alone, so a larger part holds every smaller one of the same seed, also when the store has grown.
"""

import hashlib
from collections.abc import Iterable
from heapq import nsmallest

from dataset.errors import ConfigError
from dataset.stream.window_shards import Packed, read_about


def nested_subset(packed: Iterable[Packed], num_replays: int, seed: int, character: int | None) -> list[Packed]:
    """The ``num_replays`` in which ``character`` (internal id) was picked whose hash comes first; ``None``: any character.

    Raises:
        ConfigError: there are fewer.
    """

    def rank(entry: tuple[int, Packed]) -> bytes:
        return hashlib.sha256(f"{seed}/{read_about(entry[1].about).id}".encode()).digest()

    wanted = (one for one in packed if character is None or character in read_about(one.about).characters)
    kept = nsmallest(num_replays, enumerate(wanted), key=rank)
    if len(kept) < num_replays:
        raise ConfigError(
            f"--max-replays {num_replays}: must be at most the train split's, found {len(kept)}; give fewer, or leave it away"
        )
    return [one for _, one in sorted(kept, key=lambda entry: entry[0])]
