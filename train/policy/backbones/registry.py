"""Every backbone by the name that ``--backbone`` calls it; a new one is a file beside this and a line below."""

from dataset.errors import require_known
from train.policy.backbones.base import Backbone
from train.policy.backbones.gru import Gru
from train.policy.backbones.jamba import Jamba
from train.policy.backbones.lstm import Lstm
from train.policy.backbones.mamba import Mamba
from train.policy.backbones.mlp import Mlp
from train.policy.backbones.sliding_window import SlidingWindow

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
    return BACKBONES[require_known("backbone", name, BACKBONES)]
