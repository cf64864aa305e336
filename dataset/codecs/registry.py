"""The codecs by name. A new one is a file here and a line in ``CODECS``."""

from dataset.codecs.axis17 import Axis17
from dataset.codecs.base import Codec
from dataset.codecs.joint import Joint
from dataset.errors import require_known

CODECS: dict[str, Codec] = {"axis17": Axis17(), "joint": Joint()}


def get_codec(name: str) -> Codec:
    """The codec of that name."""
    if name not in CODECS:
        require_known("codec", name, CODECS)
    return CODECS[name]
