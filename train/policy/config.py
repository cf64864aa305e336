"""What a policy is made of, known without PyTorch, so that settings are checked and shown at once.

``BACKBONES`` lists every backbone: a new one is a file in ``train/policy/backbones`` and a line here.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from dataset.melee.ids import NUM_ACTION_STATES, NUM_CHARACTERS, NUM_STAGES, STAGES
from train.settings import Settings, require, setting, shown

if TYPE_CHECKING:
    from dataset.codecs.base import Codec


@dataclass(frozen=True)
class Traits:
    """Where a backbone is implemented, and what settings depend on."""

    where: str
    """Module and class, imported when a policy is built."""
    is_temporal: bool = True
    """Whether an output depends on earlier frames."""
    attention_every: int | None = None
    """Every how many layers it attends unless the config says otherwise; ``None``: it has no attention."""
    is_gated: bool = False
    """Whether its layers hold a weight for every frame they see."""


BACKBONES: dict[str, Traits] = {
    "mlp": Traits("train.policy.backbones.mlp.Mlp", is_temporal=False),
    "lstm": Traits("train.policy.backbones.lstm.Lstm"),
    "gru": Traits("train.policy.backbones.gru.Gru"),
    "mamba": Traits("train.policy.backbones.mamba.Mamba"),
    "gmlp": Traits("train.policy.backbones.gmlp.Gmlp", is_gated=True),
    "sliding_window": Traits("train.policy.backbones.sliding_window.SlidingWindow", attention_every=1),
    "jamba": Traits("train.policy.backbones.jamba.Jamba", attention_every=3),
}

ATTENTIVE = {name: traits.attention_every for name, traits in BACKBONES.items() if traits.attention_every is not None}
"""Backbones with attention, and every how many layers they attend."""

HEADS = {"autoregressive": True, "independent": False}
"""Heads, and whether each component of the controller is predicted given those before it."""

MODES: dict[str, dict[str, int | None]] = {
    "action_state": {"learned": None, "one_hot": NUM_ACTION_STATES},
    "character": {"learned": None, "one_hot": NUM_CHARACTERS},
    "stage": {"learned": None, "compact": NUM_STAGES, "one_hot": len(STAGES)},
}
"""The modes of an embedding index, and the columns each expands it to; ``None`` looks it up in a table."""

NUM_HEADS, LOOKBACK = 4, 64
"""Where a config does not say."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The size of a backbone; a backbone ignores the fields it has no use for, and the config refuses to set them."""

    hidden_sizes: tuple[int, ...]
    """Width of every layer; all equal in a temporal backbone."""
    dropout: float = 0.0
    """Probability of dropping a unit between layers."""
    num_heads: int = NUM_HEADS
    """Attention heads per layer."""
    lookback: int = LOOKBACK
    """Frames that a layer of attention or gates sees, the present one included."""
    attention_every: int = 1
    """Every Nth layer attends."""

    @property
    def attention_layers(self) -> tuple[bool, ...]:
        """Whether each layer attends."""
        return tuple((layer + 1) % self.attention_every == 0 for layer in range(len(self.hidden_sizes)))

    @property
    def input_width(self) -> int:
        """Width of the inputs."""
        return self.hidden_sizes[0]

    @property
    def output_width(self) -> int:
        """Width of the outputs."""
        return self.hidden_sizes[-1]


@dataclass(frozen=True, kw_only=True)
class PolicyConfig(Settings):
    """What a policy is made of."""

    codec: str = setting("axis17", "How controllers become classes, as in the store: axis17 or joint")
    backbone: str = setting("gru", "The sequence model", choices=BACKBONES)
    hidden_sizes: tuple[int, ...] = setting((256, 256), "Width of every layer")
    head: str = setting("autoregressive", "Whether components are predicted given each other", choices=HEADS)
    features: str = setting(
        "all",
        "Feature groups the policy is given, here and in play: all, all without some (all-items-nana), or the "
        "base with some (base+speeds), of misc, hurtbox, speeds, hitlag, items, nana",
        metavar="CHOICE",
    )
    """Kept in its one spelling; a policy sees the other groups as 0."""
    action_mode: str = setting("learned", "Action states: learned (a table) or one_hot", choices=MODES["action_state"])
    character_mode: str = setting("learned", "Characters: learned (a table) or one_hot", choices=MODES["character"])
    stage_mode: str = setting(
        "learned",
        "Stage: learned (a table), compact (a column per legal stage and one for others) or one_hot (legal stages only)",
        choices=MODES["stage"],
    )
    dropout: float = setting(0.1, "Share of units dropped between layers and after the last", at_least=0, below=1)
    prev_dropout: float = setting(0.0, "Share of windows that hide the previous controller", at_least=0, below=1)
    num_heads: int | None = setting(
        None, f"Attention heads per layer of {' and '.join(ATTENTIVE)}", at_least=1, unset=str(NUM_HEADS)
    )
    attention_every: int | None = setting(
        None,
        "Attend in every Nth layer",
        at_least=1,
        unset=", ".join(f"{every} ({name})" for name, every in ATTENTIVE.items()),
    )
    lookback: int | None = None
    """Frames that a layer sees, the present one included: ``--window-size`` where layers see a fixed number of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        from dataset.codecs.registry import get_codec
        from dataset.features.layout import parse_features

        get_codec(self.codec)  # refuses an unknown one
        object.__setattr__(self, "features", parse_features(self.features))  # equal choices are equal configs
        sizes = self.hidden_sizes
        require(
            len(sizes) > 0 and min(sizes) > 0,
            f"--hidden-sizes: one or more widths above 0, found {sizes}; give e.g. 256,256",
        )
        require(
            not BACKBONES[self.backbone].is_temporal or len(set(sizes)) == 1,
            f"--hidden-sizes: the layers of {self.backbone} share one width, found {shown(sizes)}; repeat one number, or "
            "use --backbone mlp",
        )
        self._check_attention()

    def _check_attention(self) -> None:
        shape, num_layers = self.shape, len(self.hidden_sizes)
        window = shape.lookback
        require(0 < window <= 2048, f"--window-size {window}: {self.backbone} sees 1 to 2048 frames; give e.g. 64")
        if not has_attention(self.backbone):
            for option, value in (("--num-heads", self.num_heads), ("--attention-every", self.attention_every)):
                require(
                    value is None,
                    f"{option} {value}: {self.backbone} has no attention, so it cannot take effect; leave it out, or use "
                    f"--backbone {' or '.join(ATTENTIVE)}",
                )
            return
        require(
            shape.input_width % (2 * shape.num_heads) == 0,
            f"--num-heads {shape.num_heads}: must divide the width {shape.input_width} into even parts; give e.g. 4 heads "
            "for 256",
        )
        require(
            shape.attention_every <= num_layers,
            f"--attention-every {shape.attention_every}: from 1 to the number of layers, found {num_layers} layers; "
            "give a smaller one, or more --num-layers",
        )

    @cached_property
    def controller_codec(self) -> "Codec":
        """The codec that ``codec`` names."""
        from dataset.codecs.registry import get_codec

        return get_codec(self.codec)

    @property
    def modes(self) -> dict[str, str]:
        """How ids are given, by the ending of the embedding indices."""
        return {"action_state": self.action_mode, "character": self.character_mode, "stage": self.stage_mode}

    @property
    def shape(self) -> Shape:
        """The size of the backbone."""
        usual = min(BACKBONES[self.backbone].attention_every or 1, len(self.hidden_sizes))
        return Shape(
            hidden_sizes=self.hidden_sizes,
            dropout=self.dropout,
            num_heads=NUM_HEADS if self.num_heads is None else self.num_heads,
            lookback=LOOKBACK if self.lookback is None else self.lookback,
            attention_every=usual if self.attention_every is None else self.attention_every,
        )


def has_attention(backbone: str) -> bool:
    """Whether a backbone has layers of attention."""
    return BACKBONES[backbone].attention_every is not None


def looks_back(backbone: str) -> bool:
    """Whether layers of a backbone see a fixed number of frames."""
    return has_attention(backbone) or BACKBONES[backbone].is_gated
