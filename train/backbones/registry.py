"""Every backbone by the name that ``--backbone`` calls it; a new one is a file beside this and a line below."""

from dataset.errors import ConfigError
from train.backbones.base import Backbone
from train.backbones.gru import Gru
from train.backbones.jamba import Jamba
from train.backbones.lstm import Lstm
from train.backbones.mamba import Mamba
from train.backbones.mlp import Mlp
from train.backbones.sliding_window import SlidingWindow

BACKBONES: dict[str, type[Backbone]] = {
    "mlp": Mlp,
    "lstm": Lstm,
    "gru": Gru,
    "mamba": Mamba,
    "sliding_window": SlidingWindow,
    "jamba": Jamba,
}


def get_backbone(name: str) -> type[Backbone]:
    """The backbone of that name."""
    if name not in BACKBONES:
        raise ConfigError(f"backbone '{name}': unknown; use one of {', '.join(BACKBONES)}")
    return BACKBONES[name]
