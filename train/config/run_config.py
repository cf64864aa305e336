"""Every setting of a run, as frozen dataclasses that refuse settings which contradict each other.

A setting and its flag are declared together (``train.settings``). ``RunConfig`` is saved whole in the run folder and rebuilt from
there. A setting that cannot take effect raises ``ConfigError``; none is ignored.
"""

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from dataset.melee.ids import character_from_name
from train.policy.config import BACKBONES, PolicyConfig
from train.settings import Settings, require, setting

ROBUST_DELAYS = (2, 4)
"""Frames between which ``--online-robust`` draws: Slippi's online delay is 2 and more on a slow connection."""

ROBUST_DELAY = 3
"""The delay at which such a run plays and is measured."""

STREAM = "stream"
"""The contract under which a policy plays: its state is carried without end from a replay's first frame, as in training."""

WINDOW = "window"
"""The contract of a policy trained on windows that begin with no memory: it is measured that way and not played."""


@dataclass(frozen=True, kw_only=True)
class DataConfig(Settings):
    """What a policy is trained on and how batches are made of it."""

    character: str | None = setting(
        None, "Character whose players to imitate", flag="train_character", unset="all players"
    )
    delay: int = setting(
        0,
        "Frames between seeing and acting: 2 as online, 18 or 21 as in the league",
        at_least=0,
        at_most=60,
        unit="frames",
    )
    """Of an online-robust run: the delay in play."""
    online_robust: bool = setting(
        False,
        "Train each replay at a delay drawn from {} to {} frames; plays at {}".format(*ROBUST_DELAYS, ROBUST_DELAY),
        has_negation=False,
    )
    lanes: int = setting(32, "Rows of a batch: replays walked at once", flag="batch_size", at_least=1)
    window_size: int = setting(
        64, "Frames a lane advances in one step, and attention and gmlp see", at_least=1, unit="frame"
    )
    """Gradients reach no further back."""
    sampling: str = setting(
        "lanes",
        "lanes carry the state through replays; windows begin anywhere, with no memory",
        choices=("lanes", "windows"),
    )
    supervise: str = setting(
        "all",
        "Frames of a window to predict: all after the burn-in, or last (then measured on every 8th frame)",
        choices=("all", "last"),
    )
    burn_in: int | None = setting(
        None, "Frames of a window seen, not predicted", at_least=0, unset="half of it, 0 for an mlp"
    )
    max_replays: int | None = setting(
        None,
        "Train on N replays of the train split, chosen by --seed; a larger N includes a smaller one's",
        at_least=1,
        unset="all",
    )
    augment: bool = setting(True, "Mirror half of the replays, and add noise to positions and speeds")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.character is not None:
            character_from_name(self.character)
        low, high = ROBUST_DELAYS
        require(
            not self.online_robust or low <= self.delay <= high,
            f"--online-robust: plays at a delay it trains with, {low} to {high} frames, found {self.delay}; "
            f"take {ROBUST_DELAY}",
        )
        for option, is_set in (("--supervise last", self.supervise == "last"), ("--burn-in", self.burn_in is not None)):
            require(
                not is_set or self.sampling == "windows",
                f"{option}: acts only on windows, found --sampling {self.sampling}, where every frame is predicted; "
                "add --sampling windows, or leave it out",
            )
        require(
            self.burn_in is None or self.supervise == "all",
            "--burn-in: acts only where all later frames are predicted, found --supervise last; leave one out",
        )
        require(
            self.burn_in is None or self.burn_in < self.window_size,
            f"--burn-in: must leave at least one frame of the window of {self.window_size}, found {self.burn_in}; "
            "give a smaller one, or a larger --window-size",
        )

    @property
    def delays(self) -> tuple[int, int]:
        """The least and the most frames between seeing and acting in training."""
        return ROBUST_DELAYS if self.online_robust else (self.delay, self.delay)


@dataclass(frozen=True, kw_only=True)
class OptimConfig(Settings):
    """How the weights are moved."""

    epochs: int = setting(10, "Times each imitated frame is trained on", at_least=1)
    max_steps: int | None = setting(
        None, "End the run and its learning-rate schedule after N steps", at_least=1, unset="as many as the epochs have"
    )
    lr: float = setting(2e-3, "Peak learning rate of AdamW", above=0)
    lr_schedule: str = setting(
        "cosine", "After the warm-up: constant, or a cosine that falls to 0", choices=("constant", "cosine")
    )
    warmup_steps: int | None = setting(
        None, "Steps of linear rise to the peak", at_least=0, unset="100, or a tenth of a shorter run"
    )
    layer_lr_decay: float = setting(
        1.0,
        "With --init-from: learning rate of each layer as a share of that of the layer above; the head has --lr",
        above=0,
        at_most=1,
    )
    weight_decay: float = setting(0.01, "Weight decay of AdamW, for matrices only", at_least=0)
    grad_accumulation: int = setting(1, "Batches whose gradients add up to one step", at_least=1)
    precision: str = setting(
        "fp32",
        "What training computes in, fp32 or bf16; losses, weights and val figures stay fp32",
        choices=("fp32", "bf16"),
    )
    max_grad_norm: float = setting(1.0, "Largest norm of the gradients; 0 allows any", at_least=0)
    ema_decay: float = setting(
        0.998,
        "Share of the averaged weights that survives a step",
        at_least=0,
        below=1,
        needs="ema",
        switch_help="Keep an average of the weights; validate and save it",
        switched_on=0.998,
    )
    early_stopping: bool = setting(False, "Stop when the val NLL no longer falls")
    patience: int = setting(
        5, "Epochs without a better val NLL before stopping", at_least=1, unit="epoch", needs="early_stopping"
    )


@dataclass(frozen=True, kw_only=True)
class LossConfig(Settings):
    """What training minimises; val loss is plain NLL whatever stands here, so that recipes compare."""

    label_smoothing: float = setting(
        0.0, "Share of the target spread over all classes of sticks and trigger, not of buttons", at_least=0, below=1
    )
    focal_gamma: float = setting(
        0.0,
        "How much more: each decision counts (1 - p)^gamma times",  # Lin et al. 2017, arXiv:1708.02002
        at_least=0,
        needs="focal_loss",
        switch_help="Weigh uncertain decisions more",
        switched_on=2.0,
    )
    button_pos_weight: float = setting(1.0, "Weight of a pressed button against a released one", above=0)
    weight_by: str = setting(
        "none",
        "How much replays count: none (all alike), by quality (of the imitated player) or matchup (rare ones more)",
        choices=("none", "quality", "matchup"),
    )


@dataclass(frozen=True, kw_only=True)
class RunConfig(Settings):
    """One training run."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    seed: int = setting(0, "Seed of the initial weights, the order of replays and dropout")

    @property
    def burn_in(self) -> int:
        """Frames at the start of a window that are seen and not predicted."""
        if self.data.supervise == "last":
            return self.data.window_size - 1
        if self.data.burn_in is not None:
            return self.data.burn_in
        return self.data.window_size // 2 if self.contract == WINDOW else 0

    @property
    def contract(self) -> str:
        """How context reaches the policy: a state carried without end, or windows that begin with none."""
        is_temporal = BACKBONES[self.policy.backbone].is_temporal
        return WINDOW if self.data.sampling == "windows" and is_temporal else STREAM


Config = TypeVar("Config")


def to_json(config: Any) -> dict[str, Any]:
    """A config as plain JSON values."""
    return dataclasses.asdict(config)


def from_json(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """The config that ``to_json`` wrote; an unknown field is an error, a missing one takes its default."""
    hints = get_type_hints(kind)
    require(isinstance(values, Mapping), f"{kind.__name__}: is an object of settings, found {str(values)[:50]}")
    unknown = sorted(set(values) - set(hints))
    require(
        not unknown,
        f"{kind.__name__}: holds only {', '.join(sorted(hints))}, found {', '.join(unknown)}; it was written by "
        "another exphil, use that one",
    )
    for name, value in values.items():
        require(
            dataclasses.is_dataclass(hints[name]) or _is_of(hints[name], value),
            f"{kind.__name__}.{name}: must be {getattr(hints[name], '__name__', hints[name])}, found {str(value)[:50]}; "
            "give what 'exphil train' writes there",
        )
    return kind(**{name: _value(hints[name], value) for name, value in values.items()})


def _is_of(hint: Any, value: Any) -> bool:
    """Whether a JSON value is of a field's type; numbers are finite."""
    if isinstance(hint, UnionType):
        return any(_is_of(one, value) for one in get_args(hint))
    if get_origin(hint) is tuple:
        return isinstance(value, list | tuple) and all(_is_of(get_args(hint)[0], one) for one in value)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max
    return type(value) is hint and (hint is not int or abs(value) < 2**63)


def _value(hint: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json(cast(type, hint), value)
    return tuple(value) if isinstance(value, list) else value


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Every value of a config as ``to_json`` wrote it, by its path, such as ``data.lanes``."""
    values: dict[str, Any] = {}
    for name, part in config.items():
        values |= {f"{name}.{key}": value for key, value in part.items()} if isinstance(part, dict) else {name: part}
    return values


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The paths of ``now`` at which ``before`` has another value, or none; both as ``to_json`` wrote them."""
    old = flat(before)
    return [path for path, value in flat(now).items() if path not in old or old[path] != value]


def nested(values: Mapping[str, Any]) -> RunConfig:
    """The config whose values ``flat`` gives."""
    parts: dict[str, Any] = {}
    for path, value in values.items():
        part, _, name = path.rpartition(".")
        (parts.setdefault(part, {}) if part else parts)[name] = value
    return from_json(RunConfig, parts)
