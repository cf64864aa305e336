"""The policy: inputs, backbone and head together, for windows in training and for single frames in play.

``forward`` takes windows [B, T, …] with the targets (which the autoregressive head is given) and returns logits; ``step``
takes one frame [B, …] with noise and returns the classes to play. Both carry the same state. ``step`` never resets: whoever
starts a game begins with ``initial_state``.

The autoregressive head predicts component after component in the codec's order, each given those already chosen (as MADE,
Germain et al. 2015, arXiv:1502.03509, with one hidden layer cut into one slice per component): what is known of the chosen
classes is added to the hidden units before their ReLU. In training the target's classes are the chosen ones, so all slices
are computed at once; in play they come one after the other. The head is also given the previous controller, from which a
trained table makes logits of its own. That table begins as the fitted copycat (``Persistence``), so a policy starts at
persistence and learns the changes. Noise is an input, so sampling is deterministic.

Legend: B batch, T frames in the window, C features, I indices, K components, S class columns, D width, M hidden units per
component.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dataset.codecs.base import Codec
from train.policy.backbones.base import Backbone, Dropout, State, build_backbone, reset_rows
from train.policy.components import Components, Persistence, one_hot
from train.policy.config import HEADS, PolicyConfig
from train.policy.embed import Embed

HIDDEN = 64
"""M, hidden units per component."""


class Policy(nn.Module):
    """One imitation policy, built from its config alone."""

    def __init__(self, config: PolicyConfig) -> None:
        super().__init__()
        self.codec = codec = config.controller_codec
        shape = config.shape
        self.prev_dropout = config.prev_dropout
        self.embed = Embed(codec, shape.input_width, config.modes, config.features)
        self.backbone: Backbone = build_backbone(config.backbone, shape)
        self.dropout = Dropout(config.dropout)
        self.head = Head(codec, shape.output_width, is_autoregressive=HEADS[config.head])

    def initial_state(self, batch: int) -> State:
        """The state of ``batch`` games before their first frame."""
        return self.backbone.initial_state(batch)

    def forward(
        self,
        continuous: Tensor,
        indices: Tensor,
        previous: Tensor,
        delay: Tensor,
        target: Tensor,
        state: State,
        reset: Tensor,
    ) -> tuple[Tensor, State]:
        """Teacher-forced logits of a window.

        Args:
            continuous: [B, T, C] features.
            indices: [B, T, I] embedding indices.
            previous: [B, T, K] classes of the newest committed controller.
            delay: [B] frames between seeing and acting.
            target: [B, T, K] classes to predict.
            state: carried from the window before.
            reset: [B] rows that begin a replay here and forget what was before.

        Returns:
            Logits [B, T, S] and the state after the last frame.
        """
        y, state = self.features(continuous, indices, previous, delay, state, reset)
        return self.head(y, target), state

    def features(
        self, continuous: Tensor, indices: Tensor, previous: Tensor, delay: Tensor, state: State, reset: Tensor
    ) -> tuple[Tensor, State]:
        """What the head is given of a window, [B, T, D + S], and the state after it; arguments as for ``forward``."""
        state = reset_rows(state, self.initial_state(len(reset)), reset)
        delays = delay[:, None].expand(previous.shape[:2])
        x, held = self.embed(continuous, indices, previous, delays, self._is_known(previous))
        y, state = self.backbone(x, state)
        return torch.cat([self.dropout(y), held], dim=-1), state

    def step(
        self,
        continuous: Tensor,
        indices: Tensor,
        previous: Tensor,
        delay: Tensor,
        noise: Tensor,
        state: State,
        temperature: float | Tensor = 1.0,
    ) -> tuple[Tensor, State]:
        """One frame of each game: continuous [B, C], indices [B, I], previous [B, K], delay [B], noise [B, K] uniforms.

        Returns:
            Classes int64 [B, K] and the next state.
        """
        x, held = self.embed(continuous, indices, previous, delay)
        y, state = self.backbone.step(x, state)
        return self.head.sample(torch.cat([y, held], dim=-1), noise, temperature), state

    def _is_known(self, previous: Tensor) -> Tensor | None:
        """[B, T]: in training, hides the previous controller of a share of the rows for their whole window."""
        if not self.training or self.prev_dropout == 0.0:
            return None
        kept = torch.rand(len(previous), 1, device=previous.device) >= self.prev_dropout
        return kept.expand(previous.shape[:2])


class Head(nn.Module):
    """Logits of all components, and samples from them."""

    columns: Tensor
    sees: Tensor
    owns: Tensor

    def __init__(self, codec: Codec, width: int, *, is_autoregressive: bool) -> None:
        super().__init__()
        self.components = Components.of(codec)
        self.width = width
        self.is_autoregressive = is_autoregressive
        num_components, num_columns = len(self.components.sizes), self.components.num_columns
        self.hidden = nn.Linear(width, num_components * HIDDEN)
        self.output = nn.Linear(HIDDEN, num_columns)
        self.prior = nn.Embedding(num_columns, num_columns)
        nn.init.zeros_(self.prior.weight)
        owner = torch.tensor(self.components.owner)
        slices = torch.arange(num_components).repeat_interleave(HIDDEN)
        if is_autoregressive:
            self.chosen = nn.Embedding(num_columns, num_components * HIDDEN)
            nn.init.normal_(self.chosen.weight, std=0.1)
        self.register_buffer("columns", torch.tensor(self.components.columns), persistent=False)
        self.register_buffer("sees", owner[:, None] < slices[None, :], persistent=False)
        self.register_buffer("owns", owner[:, None] == torch.arange(num_components)[None, :], persistent=False)

    def start_from(self, persistence: Persistence) -> None:
        """Begin near the copycat: its log-likelihoods in the prior."""
        table = persistence.nll_table()
        with torch.no_grad():
            self.prior.weight.zero_()
            for k, (size, column) in enumerate(zip(self.components.sizes, self.components.columns, strict=True)):
                own = slice(column, column + size)
                self.prior.weight[own, own] = -table[k, :size, :size].to(self.prior.weight)
            self.output.bias.zero_()

    def forward(self, y: Tensor, target: Tensor) -> Tensor:
        """Logits [..., S], each component given the earlier ones of ``target`` [..., K].

        Args:
            y: [..., D + S] the backbone's outputs, then the previous controller's one-hot rows (zeros: hidden).
            target: the classes that count as chosen.
        """
        return self.logits(self.hidden(y[..., : self.width]), y[..., self.width :], target)

    def logits(self, hidden: Tensor, held: Tensor, target: Tensor) -> Tensor:
        """What ``forward`` gives, from the hidden units [..., K·M] that ``self.hidden`` makes of the backbone's outputs."""
        if self.is_autoregressive:
            classes = one_hot(target, self.columns, self.components.num_columns)
            hidden = hidden + classes.to(hidden.dtype) @ self._chosen()
        weight = self.output.weight.unsqueeze(1) * self.owns.unsqueeze(2)  # [S, K, M], zero outside a column's slice
        with torch.autocast(hidden.device.type, enabled=False):  # logits in bfloat16 cost 0.002 to 0.005 nats
            units, held = torch.relu(hidden).to(weight.dtype), held.to(weight.dtype)
            return F.linear(units, weight.flatten(1), self.output.bias) + held @ self.prior.weight

    def sample(self, y: Tensor, noise: Tensor, temperature: float | Tensor = 1.0) -> Tensor:
        """Classes int64 [B, K].

        Args:
            y: [B, D + S] as for ``forward``.
            noise: [B, K] uniforms in (0, 1), one per component: the class is the inverse of the cumulative distribution there.
            temperature: divides the logits of every component.
        """
        y, held = y[:, : self.width], y[:, self.width :]
        hidden = cast(Tensor, self.hidden(y))
        prior = held @ self.prior.weight + self.output.bias
        table = self._chosen() if self.is_autoregressive else None
        sizes, columns = self.components.sizes, self.components.columns
        classes: list[Tensor] = []
        for k, (size, column) in enumerate(zip(sizes, columns, strict=True)):
            own = slice(column, column + size)
            units = torch.relu(hidden[:, k * HIDDEN : (k + 1) * HIDDEN])
            logits = F.linear(units, self.output.weight[own]) + prior[:, own]
            classes.append(inverse_cdf(logits / temperature, noise[:, k]))
            if table is not None:
                later = slice((k + 1) * HIDDEN, None)
                hidden[:, later] += table[own, later][classes[-1]]
        return torch.stack(classes, dim=-1)

    def _chosen(self) -> Tensor:
        """[S, K·M]: what a chosen class adds to the hidden units of later components, and to no others."""
        return self.chosen.weight * self.sees


def inverse_cdf(logits: Tensor, noise: Tensor) -> Tensor:
    """The class int64 [B] at which the cumulative distribution of logits [B, n] passes noise [B]."""
    cumulative = torch.softmax(logits, dim=-1).cumsum(dim=-1)
    return (cumulative[:, :-1] <= noise[:, None]).sum(dim=-1)
