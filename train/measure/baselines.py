"""The two baselines measured as policies are: persistence and the look-up, over every replay of a split.

In: banks and a delay. Out: for each baseline the report that ``exphil eval`` gives of a run, with ``per_replay`` and
``intervals``. The surprise: a baseline samples nothing, so its report says nothing of sampled controllers.

Legend: N frames, S class columns.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from dataset.codecs.base import Codec
from dataset.stream.bank import Bank, Rows
from train.measure.controls import Controls
from train.measure.intervals import bootstrap
from train.measure.judged import judge
from train.measure.lookup import copied_logits, fit_lookup
from train.measure.metrics import Metrics
from train.measure.per_replay import PerReplay
from train.policy.components import Components
from train.policy.persistence import fit_persistence

Report = dict[str, Any]


def measure_baselines(
    train: Bank, splits: Mapping[str, Bank], codec: Codec, delay: int
) -> dict[str, dict[str, Report]]:
    """The reports by baseline and split, of baselines fitted on ``train``."""
    sizes = Components.of(codec).sizes
    persistence = fit_persistence(train, sizes, delay)
    lookup = fit_lookup(train, sizes, delay, persistence)
    sayers: dict[str, Callable[[Rows], Tensor]] = {
        "persistence": lambda rows: copied_logits(persistence, rows, sizes),
        "lookup": lookup.logits,
    }

    def report(say: Callable[[Rows], Tensor], bank: Bank) -> Report:
        components, controls = Components.of(codec), Controls.of(codec)
        metrics, per_replay = Metrics(components, controls, persistence), PerReplay(bank.ids, controls)
        for track in bank.tracks:
            rows = bank.open(track, delay)
            target, previous = (torch.from_numpy(part[rows.mask]) for part in (rows.target, rows.previous))
            judged = judge(say(rows), previous, target, previous, components, controls)
            metrics.add(judged)
            per_replay.add(judged, torch.full((len(target),), track.replay))
        said = {key: value for key, value in metrics.report().items() if key != "diversity"}
        parts = per_replay.report()
        return {**said, "replays": len(bank.ids), "intervals": bootstrap(parts), "per_replay": parts}

    return {name: {split: report(say, bank) for split, bank in splits.items()} for name, say in sayers.items()}
