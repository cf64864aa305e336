"""Nana's columns put where they belong in replays without frame starts, those older than Slippi 2.2.

In: the columns of such a replay as peppi tells them, and the replay. Out: the same columns, Nana's moved. The surprise: where
no frame start is recorded, peppi lays a follower's records one after the other and leaves every gap for the end; so once she has
been away (Slippi records nothing of her between her death and her return), all that follows would stand too early.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dataset.schema import SIDES
from dataset.slippi.slp import POST_FRAME, Header, read_events, read_slp

FRAME_STARTS_SINCE = (2, 2, 0)


def place_nana(columns: dict[str, NDArray[Any]], source: bytes | str | Path, header: Header) -> None:
    """Move each side's Nana to the frames for which a follower's post frame was recorded, in place.

    Raises:
        ReplayError: the events cannot be read.
    """
    sides = [side for side in SIDES if columns[f"{side}_nana_exists"].any()]
    if header.version >= FRAME_STARTS_SINCE or not sides:
        return
    post = read_events(read_slp(source)[0]).tables[POST_FRAME]
    for side in sides:
        port = header.players[SIDES.index(side)].port
        is_hers = (post["is_follower"] == 1) & (post["port"] == port - 1)
        exists = np.isin(columns["frame"], post["frame"][is_hers])
        record = np.cumsum(exists) - 1
        for name in (name for name in columns if name.startswith(f"{side}_nana_")):
            columns[name] = np.where(exists, columns[name][record], 0).astype(columns[name].dtype)
