"""Everything a run can be told, as frozen dataclasses that refuse settings which contradict each other.

``RunConfig`` is saved whole in the run folder and rebuilt from there; a policy needs only ``PolicyConfig``. The surprise:
what is written here is what acts. A setting that could not take effect raises ``ConfigError``, it is never ignored.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast, get_type_hints

from dataset.codecs.registry import get_codec
from dataset.errors import ConfigError, require_known
from dataset.features.layout import ALL, parse_features
from dataset.melee.ids import character_from_name
from train.policy.backbones.base import Shape
from train.policy.backbones.registry import get_backbone
from train.policy.embed import MODES
from train.policy.heads import HEADS
from train.run_folder import STREAM, WINDOW

LR_SCHEDULES = ("constant", "cosine")
PRECISIONS = ("fp32", "bf16")
SAMPLINGS = ("lanes", "windows")
SUPERVISIONS = ("all", "last")
WEIGHT_BY = ("none", "quality", "matchup")

ROBUST_DELAYS = (2, 4)
"""Frames between which ``--online-robust`` draws: Slippi's online delay is 2 and more on a slow connection."""

ROBUST_DELAY = 3
"""The delay at which such a run plays and is measured."""


def _require(is_met: bool, message: str) -> None:
    if not is_met:
        raise ConfigError(message)


@dataclass(frozen=True, kw_only=True)
class PolicyConfig:
    """What a policy is made of."""

    codec: str = "axis17"
    """How controllers become classes."""
    backbone: str = "gru"
    """The sequence model."""
    hidden_sizes: tuple[int, ...] = (256, 256)
    """Width of every layer of the backbone."""
    head: str = "autoregressive"
    """Whether components are predicted given each other."""
    features: str = ALL
    """Feature groups that the policy is given, in their one spelling; the others are 0 to it."""
    action_mode: str = "learned"
    """How action states are given: a trained table, or ``one_hot``."""
    character_mode: str = "learned"
    """How characters are given: a trained table, or ``one_hot``."""
    stage_mode: str = "learned"
    """How the stage is given: a trained table, ``compact`` or ``one_hot``; see ``train.policy.embed``."""
    dropout: float = 0.0
    """Probability of dropping a unit between the backbone's layers and after the last."""
    prev_dropout: float = 0.0
    """Probability of hiding the previous controller from a lane for one window of training."""
    num_heads: int | None = None
    """Attention heads a layer; ``None`` is 4 in a backbone with attention."""
    attention_every: int | None = None
    """Attention stands in every Nth layer; ``None`` is the backbone's own N, or all its layers if they are fewer."""
    attention_window: int | None = None
    """Frames an attention layer sees, the present one included; ``--window-size`` where the backbone has attention."""

    def __post_init__(self) -> None:
        get_codec(self.codec)
        object.__setattr__(self, "features", parse_features(self.features))  # equal choices are equal configs
        is_temporal = get_backbone(self.backbone).is_temporal
        require_known("head", self.head, HEADS)
        _require(
            len(self.hidden_sizes) > 0 and min(self.hidden_sizes) > 0,
            f"--hidden-sizes: one or more widths above 0, found {self.hidden_sizes}; give e.g. 256,256",
        )
        _require(
            not is_temporal or len(set(self.hidden_sizes)) == 1,
            f"--hidden-sizes: the layers of {self.backbone} share one width, found "
            f"{','.join(map(str, self.hidden_sizes))}; repeat one number, or use --backbone mlp",
        )
        for flag, mode, known in zip(
            ("--action-mode", "--character-mode", "--stage-mode"), self.modes.values(), MODES.values(), strict=True
        ):
            require_known(flag, mode, known)
        for name, share in (("--dropout", self.dropout), ("--prev-dropout", self.prev_dropout)):
            _require(0.0 <= share < 1.0, f"{name}: a probability from 0 to below 1, found {share}; give e.g. 0.1")
        self._check_attention()

    def _check_attention(self) -> None:
        if not has_attention(self.backbone):
            for name, value in (("--num-heads", self.num_heads), ("--attention-every", self.attention_every)):
                _require(
                    value is None,
                    f"{name} {value}: {self.backbone} has no attention, so it cannot take effect; leave it away, or use "
                    "--backbone sliding_window or jamba",
                )
            return
        heads, width, every = self.shape.num_heads, self.hidden_sizes[0], self.shape.attention_every
        _require(
            heads > 0 and width % (2 * heads) == 0,
            f"--num-heads {heads}: must divide the width {width} into even parts; give e.g. 4 heads for 256",
        )
        _require(
            0 < every <= len(self.hidden_sizes),
            f"--attention-every {every}: from 1 to the number of layers, found {len(self.hidden_sizes)} layers; "
            "give a smaller one, or more --num-layers",
        )
        window = self.shape.attention_window
        _require(0 < window <= 2048, f"--window-size {window}: attention sees 1 to 2048 frames; give e.g. 64")

    @property
    def modes(self) -> dict[str, str]:
        """How ids are given, by the ending of the embedding indices."""
        return {"action_state": self.action_mode, "character": self.character_mode, "stage": self.stage_mode}

    @property
    def shape(self) -> Shape:
        """The size of the backbone."""
        usual = get_backbone(self.backbone).attention_every or 1
        return Shape(
            hidden_sizes=self.hidden_sizes,
            dropout=self.dropout,
            num_heads=4 if self.num_heads is None else self.num_heads,
            attention_window=64 if self.attention_window is None else self.attention_window,
            attention_every=min(usual, len(self.hidden_sizes))
            if self.attention_every is None
            else self.attention_every,
        )


def has_attention(backbone: str) -> bool:
    """Whether a backbone looks back over a window of frames."""
    return get_backbone(backbone).attention_every is not None


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """What a policy is trained on and how it is laid into batches."""

    character: str | None = None
    """Whose players are imitated; ``None``: all players."""
    delay: int = 0
    """Frames between seeing and acting; of an online-robust run, in play."""
    online_robust: bool = False
    """Whether training draws a delay for each replay from ``ROBUST_DELAYS`` and tells the policy."""
    lanes: int = 32
    """Rows of a batch, each walking one replay (``--batch-size``)."""
    window_size: int = 64
    """Frames a lane advances in one step; gradients reach no further back."""
    sampling: str = "lanes"
    """Lanes walk replays in order with the state carried; windows start anywhere with none."""
    supervise: str = "all"
    """Whether windows predict all of their frames after the burn-in, or the last alone."""
    burn_in: int | None = None
    """Frames at the start of a window that are not predicted; ``None``: half of it where the backbone remembers."""
    max_replays: int | None = None
    """Replays of the train split to train on, chosen by the seed; ``None``: all of them."""
    augment: bool = False
    """Whether half of the replays are mirrored, and noise is laid on positions and speeds."""

    def __post_init__(self) -> None:
        if self.character is not None:
            character_from_name(self.character)
        _require(0 <= self.delay <= 60, f"--delay: 0 to 60 frames, found {self.delay}; 0 acts on the very next frame")
        _require(self.lanes > 0, f"--batch-size: at least 1 lane, found {self.lanes}; give e.g. 32")
        _require(self.window_size > 0, f"--window-size: at least 1 frame, found {self.window_size}; give e.g. 64")
        _require(
            self.max_replays is None or self.max_replays > 0,
            f"--max-replays: at least 1, found {self.max_replays}; leave it away to train on all",
        )
        low, high = ROBUST_DELAYS
        _require(
            not self.online_robust or low <= self.delay <= high,
            f"--online-robust: plays at a delay it trains with, {low} to {high} frames, found {self.delay}; "
            f"take {ROBUST_DELAY}",
        )
        self._check_sampling()

    @property
    def delays(self) -> tuple[int, int]:
        """The least and the most frames between seeing and acting in training."""
        return ROBUST_DELAYS if self.online_robust else (self.delay, self.delay)

    def _check_sampling(self) -> None:
        for name, value, known in (
            ("--sampling", self.sampling, SAMPLINGS),
            ("--supervise", self.supervise, SUPERVISIONS),
        ):
            require_known(name, value, known)
        for name, is_set in (("--supervise last", self.supervise == "last"), ("--burn-in", self.burn_in is not None)):
            _require(
                not is_set or self.sampling == "windows",
                f"{name}: acts only on windows, found --sampling {self.sampling}, where every frame is predicted; "
                f"add --sampling windows, or leave it away",
            )
        if self.burn_in is not None:
            _require(
                self.supervise == "all",
                "--burn-in: acts only where all later frames are predicted, found --supervise last; leave one away",
            )
            _require(
                0 <= self.burn_in < self.window_size,
                f"--burn-in: must leave at least one frame of the window of {self.window_size}, found {self.burn_in}; "
                "give a smaller one, or a larger --window-size",
            )


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """How the weights are moved."""

    epochs: int = 10
    """Times each imitated frame is trained on."""
    max_steps: int | None = None
    """Steps after which the run ends, and its schedule with it, even inside an epoch; ``None``: the epochs' own."""
    lr: float = 1e-3
    """Peak learning rate of AdamW."""
    lr_schedule: str = "cosine"
    """Cosine falls to 0 at the run's last step, after the warm-up."""
    warmup_steps: int = 0
    """Steps of linear rise to the peak."""
    layer_lr_decay: float = 1.0
    """The rate of each layer, as a share of that of the layer above it; the head has the whole, inputs the least."""
    weight_decay: float = 0.01
    """AdamW's decay of matrices; tables, biases and norms have none."""
    grad_accumulation: int = 1
    """Batches whose gradients make one step."""
    precision: str = "fp32"
    """What training computes in; losses, weights and val numbers are float32 in either."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    ema_decay: float = 0.0
    """Share of the averaged weights that survives a step; they are validated and saved. 0 keeps no average."""
    early_stopping: bool = False
    """Whether to stop when the val NLL no longer falls."""
    patience: int = 5
    """Epochs without a better val NLL before stopping."""

    def __post_init__(self) -> None:
        _require(self.epochs > 0, f"--epochs: at least 1, found {self.epochs}; give e.g. 10")
        _require(
            self.max_steps is None or self.max_steps > 0,
            f"--max-steps: at least 1, found {self.max_steps}; leave it away to train for all epochs",
        )
        _require(self.lr > 0, f"--lr: above 0, found {self.lr}; give e.g. 0.001")
        require_known("--lr-schedule", self.lr_schedule, LR_SCHEDULES)
        _require(
            0.0 < self.layer_lr_decay <= 1.0,
            f"--layer-lr-decay: above 0 to 1, found {self.layer_lr_decay}; 1 gives all layers one rate, try 0.8",
        )
        for name, value in (
            ("--warmup-steps", self.warmup_steps),
            ("--weight-decay", self.weight_decay),
            ("--max-grad-norm", self.max_grad_norm),
        ):
            _require(value >= 0, f"{name}: 0 or more, found {value}; 0 turns it off")
        _require(
            0.0 <= self.ema_decay < 1.0, f"--ema-decay: from 0 to below 1, found {self.ema_decay}; give e.g. 0.999"
        )
        require_known("--precision", self.precision, PRECISIONS)
        _require(
            self.grad_accumulation > 0,
            f"--grad-accumulation: at least 1 batch a step, found {self.grad_accumulation}; 1 steps after each",
        )
        _require(self.patience > 0, f"--patience: at least 1 epoch, found {self.patience}; give e.g. 5")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """What training minimises; val loss is plain NLL whatever stands here, so that recipes compare."""

    label_smoothing: float = 0.0
    """Share of the target spread over all classes of sticks and trigger; buttons are left alone."""
    focal_gamma: float = 0.0
    """Each decision counts (1 − p)^gamma times (Lin et al. 2017, arXiv:1708.02002); 0 is plain NLL."""
    button_pos_weight: float = 1.0
    """How many times a pressed button counts against a released one."""
    weight_by: str = "none"
    """Whether a replay's frames count by its player's quality score, or by how rare its matchup is."""

    def __post_init__(self) -> None:
        _require(
            0.0 <= self.label_smoothing < 1.0,
            f"--label-smoothing: from 0 to below 1, found {self.label_smoothing}; give e.g. 0.05",
        )
        _require(self.focal_gamma >= 0, f"--focal-gamma: 0 or more, found {self.focal_gamma}; give e.g. 2.0")
        _require(
            self.button_pos_weight > 0, f"--button-pos-weight: above 0, found {self.button_pos_weight}; 1 is neutral"
        )
        require_known("--weight-by", self.weight_by, WEIGHT_BY)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """One training run."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    seed: int = 0
    """Of the initial weights, the order of replays and dropout."""

    @property
    def burn_in(self) -> int:
        """Frames at the start of a window that are seen and not predicted."""
        if self.data.supervise == "last":
            return self.data.window_size - 1
        if self.data.burn_in is not None:
            return self.data.burn_in
        is_remembering = self.data.sampling == "windows" and get_backbone(self.policy.backbone).is_temporal
        return self.data.window_size // 2 if is_remembering else 0

    @property
    def contract(self) -> str:
        """How context reaches the policy: a state carried without end, or windows that begin with none."""
        is_remembering = get_backbone(self.policy.backbone).is_temporal
        return WINDOW if self.data.sampling == "windows" and is_remembering else STREAM


Config = TypeVar("Config")


def to_json(config: Any) -> dict[str, Any]:
    """A config as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """The config that ``to_json`` wrote; an unknown field is an error, a missing one takes its default."""
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ConfigError(
            f"{kind.__name__}: holds only {', '.join(sorted(hints))}, found {', '.join(unknown)}; it was written by "
            "another exphil, use that one"
        )
    return kind(**{name: _value(hints[name], value) for name, value in values.items()})


def _value(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(cast(type, hint), value)
    return tuple(value) if isinstance(value, list) else value


def check_temporal(is_temporal: bool | None, backbone: str) -> None:
    """Refuse ``--temporal`` or ``--no-temporal`` where it contradicts the backbone; ``None`` was not said."""
    if is_temporal is None or is_temporal == get_backbone(backbone).is_temporal:
        return
    flag, fix = ("--temporal", "--backbone gru") if is_temporal else ("--no-temporal", "--backbone mlp")
    raise ConfigError(
        f"{flag}: contradicts --backbone {backbone}, which {'sees one frame' if is_temporal else 'remembers frames'}; "
        f"use {fix}, or leave {flag} away"
    )


def layer_sizes(backbone: str, hidden_sizes: tuple[int, ...], num_layers: int | None) -> tuple[int, ...]:
    """The width of every layer: ``--hidden-sizes``, with ``--num-layers`` of them in a temporal backbone."""
    if num_layers is None or num_layers == len(hidden_sizes):
        return hidden_sizes
    _require(num_layers > 0, f"--num-layers: at least 1, found {num_layers}; give e.g. 2")
    _require(
        get_backbone(backbone).is_temporal,
        f"--num-layers {num_layers}: an mlp has one layer a width, --hidden-sizes gives {len(hidden_sizes)}; "
        f"list {num_layers} widths, or leave --num-layers away",
    )
    _require(
        len(set(hidden_sizes)) == 1,
        f"--hidden-sizes: the layers of {backbone} share one width, found {','.join(map(str, hidden_sizes))}; "
        "repeat one number",
    )
    return hidden_sizes[:1] * num_layers


def find_delay(delay: int | None, is_online_robust: bool) -> int:
    """The delay of a run: ``--delay``, or what ``--online-robust`` plays at, which are not given both."""
    _require(
        delay is None or not is_online_robust,
        f"--delay {delay}: fixes what --online-robust draws, found both; leave one away",
    )
    return (ROBUST_DELAY if is_online_robust else 0) if delay is None else delay
