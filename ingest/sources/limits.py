"""How large a replay may be: more is a bomb or no replay, and is refused before it fills the memory."""

from dataset.errors import ReplayError

MAX_REPLAY_BYTES = 2**27
"""About two hours of two players; Melee's longest timed game takes 99 minutes."""


def check_size(size: int) -> None:
    """Refuse a size that no replay has; for declared sizes, which may lie, and for what has been unpacked.

    Raises:
        ReplayError: it is too large.
    """
    if size > MAX_REPLAY_BYTES:
        limit = f"{MAX_REPLAY_BYTES / 2**20:g} MiB"
        raise ReplayError("too_large", f"replay: a game takes at most {limit}, found more; leave the file out")
