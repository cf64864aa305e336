"""What watches a training: progress on stderr, the page of the run, Weights & Biases.

The loop calls each callback at a few moments with plain values. A callback never changes the run.
"""

import html
import json
import re
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from dataset.errors import ConfigError
from dataset.io.atomic import replacing
from dataset.reporting.charts import Series, legend, lines
from dataset.reporting.page import page, section, table
from dataset.reporting.terminal import ProgressLines, to_stderr
from train.measure.metrics import summary_line
from train.runs.run_folder import METRICS, PAGE, load_metrics, reading

if TYPE_CHECKING:
    import wandb

LEAST_ENTROPY = 0.25
"""The entropy of a policy's sampled controllers, as a share of the players', below which it is collapsing."""

PROJECT = "exphil"
"""Where Weights & Biases keeps the runs."""

ID_FILE = "wandb-id.txt"
"""In a run folder: the id of its wandb run."""

GREY = 8
"""The colour of persistence in curves."""

NLL_CAPTION = (
    "Val NLL is that of the whole controller on the val replays; lower is better. Persistence, the grey line, repeats "
    "the previous controller. The training loss has the recipe's own weights and smoothing, so compare it only with "
    "itself."
)
ACCURACY_CAPTION = (
    "Accuracy on the val replays. On change frames the controller differs from the previous one. Persistence, the grey "
    "line, is over all frames."
)


@dataclass(frozen=True)
class Step:
    """How far a run has come, and how it is doing."""

    epoch: int
    step: int
    """Steps done in this epoch."""
    steps_in_epoch: int
    """Steps that this epoch will have; ``--max-steps`` may end the last one early."""
    global_step: int
    """Steps done in the run."""
    loss: float
    """The training loss at this step."""
    lr: float
    frames_per_second: float
    """Supervised frames so far per second of training."""


class Callback:
    """Does nothing; override the methods of interest."""

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """The run begins or resumes; ``record`` is its ``config.json``."""

    def on_note(self, note: str) -> None:
        """Something the user should read."""

    def on_step(self, step: Step) -> None:
        """A step was made; called for every step on the CPU, and for every twentieth on an accelerator."""

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """An epoch was trained and validated; ``record`` is its line of ``metrics.jsonl``."""

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """The run is complete, stopped early or interrupted."""

    def on_abort(self) -> None:
        """The run failed; the error is raised after this call."""


class ProgressReport(Callback):
    """Writes the facts of a run, its progress (a bar on a terminal, lines elsewhere), notes and warnings to stderr."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._lines = ProgressLines(self._say)

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Report versions, data, parameters, inputs and the run folder."""
        versions = ", ".join(f"{name} {found}" for name, found in record["versions"].items())
        self._say(f"versions    {versions}")
        for split in ("train", "val"):
            about = record["data"][split]
            self._say(
                f"{split:<11} {about['replays']:,} replays, {about['frames']:,} imitated frames, {about['hours']:.2f} h"
            )
        policy = record["config"]["policy"]
        sizes = ",".join(map(str, policy["hidden_sizes"]))
        self._say(f"parameters  {record['parameters']:,} ({policy['backbone']} {sizes}, {policy['head']} head)")
        inputs = ", ".join(f"{width} {name}" for name, width in record["inputs"].items())
        self._say(f"inputs      {sum(record['inputs'].values())} numbers per frame: {inputs}")
        self._say(f"run folder  {run}")
        if sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
            self._bar = Progress(*columns, transient=True, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("")

    def on_note(self, note: str) -> None:
        """Print the note."""
        self._say(note)

    def on_step(self, step: Step) -> None:
        """Move the bar, or write a line every few seconds."""
        text = f"epoch {step.epoch + 1}  loss {step.loss:.3f}  {step.frames_per_second:,.0f} frames/s"
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=step.step, total=step.steps_in_epoch)
        else:
            self._lines(f"{text}  step {step.step}/{step.steps_in_epoch}")

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Write one line for the epoch, and one for every sign that the policy is collapsing."""
        best = "  (best)" if record["is_best"] else ""
        self._say(
            f"epoch {record['epoch'] + 1}  train {record['train_loss']:.4f}  val {summary_line(record['val'])}{best}"
        )
        for sign in collapse_signs(record["val"]):
            self._say(sign)

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Remove the bar."""
        self.on_abort()

    def on_abort(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.stop()

    def _say(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False)
        else:
            to_stderr(text)


def collapse_signs(val: Mapping[str, Any]) -> list[str]:
    """The signs that a policy of these val numbers is collapsing, as sentences; training continues.

    A low loss is no proof of health, because a policy that never moves is right in most frames.
    """
    signs: list[str] = []
    ours, theirs = (val["diversity"][f"entropy_{whose}"] for whose in ("sampled", "true"))
    if ours < LEAST_ENTROPY * theirs:
        signs.append(
            f"collapse: the policy plays {val['diversity']['distinct_sampled']} different controllers where the players "
            f"play {val['diversity']['distinct_true']} (entropy {ours:.2f} of {theirs:.2f} nats); lower --lr, or train "
            "for longer"
        )
    if val["nll"] > val["persistence_nll"]:
        signs.append(
            f"collapse: val NLL {val['nll']:.3f} is above the {val['persistence_nll']:.3f} of copying the previous "
            "controller, where training began; lower --lr, or keep --max-grad-norm above 0"
        )
    return signs


class RunPage(Callback):
    """Keeps ``report.html`` in the run folder: the curves of a run as one HTML file that loads nothing else.

    The page is written again after every epoch, so you can look at it while training continues.
    """

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Remember what the page is about."""
        self._run, self._config = run, record["config"]

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Write the page over all epochs so far."""
        with reading(self._run / METRICS):
            page = run_page(self._run.name, self._config, load_metrics(self._run))
        with replacing(self._run / PAGE) as temporary:
            temporary.write_text(page, "utf-8")


def run_page(name: str, config: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> str:
    """The page of a run: curves, a table of epochs, its settings."""
    vals = [record["val"] for record in records]
    nll = {
        "val NLL": [val["nll"] for val in vals],
        "training loss": [record["train_loss"] for record in records],
        "persistence": [val["persistence_nll"] for val in vals],
    }
    right = {
        "accuracy": [val["accuracy"] for val in vals],
        "on change frames": [val["change_accuracy"] for val in vals],
        "persistence": [val["persistence"]["accuracy"] for val in vals],
    }
    heads = ("epoch", "training loss", "val NLL", "accuracy", "on change frames", "frames/s")
    sections = [
        section("Nats per frame", _curves(nll, "nats per frame"), NLL_CAPTION),
        section("Accuracy", _curves(right, "accuracy"), ACCURACY_CAPTION),
        section("Epochs", table(heads, map(_row, records))),
        section("Settings", f"<pre>{html.escape(json.dumps(config, indent=1))}</pre>"),
    ]
    return page(name, sections)


def _curves(curves: Mapping[str, Sequence[float]], y_label: str) -> str:
    """Values by epoch; persistence is grey."""
    colours = [GREY if name == "persistence" else place for place, name in enumerate(curves)]
    series = [
        Series(name=name, colour=colour, points=[(epoch + 1, value) for epoch, value in enumerate(values)])
        for colour, (name, values) in zip(colours, curves.items(), strict=True)
    ]
    return legend([*zip(curves, colours, strict=True)]) + lines(series, "epoch", y_label, is_whole_x=True)


def _row(record: Mapping[str, Any]) -> list[str]:
    val = record["val"]
    values = (record["train_loss"], val["nll"], val["accuracy"], val["change_accuracy"])
    return [f"{record['epoch'] + 1}", *(f"{value:.4f}" for value in values), f"{record['frames_per_second']:.0f}"]


class WandbLog(Callback):
    """Logs the config, the loss of every reported step, and the metrics of every epoch to Weights & Biases.

    Its own client does the work, so its settings decide where a run is logged, for example ``WANDB_MODE=offline``. The best
    weights become an artifact. So does the store, as the run's input: a reference by the digest of its data, which does not
    reveal where it lies, so that all runs on the same data are linked. Offline wandb takes no inputs, but the digest is in the
    config as well.

    The run folder keeps the id of the wandb run so that ``--resume`` continues it; offline, each part has a folder of its own,
    and ``wandb sync --append`` joins them.
    """

    def on_start(self, run: Path, record: Mapping[str, Any]) -> None:
        """Open the wandb run, with its files beside the checkpoints."""
        import wandb  # a second that only those who log need wait for

        data = record["data"]
        config = {**record, "data": {"manifest_digest": data["manifest_digest"]}}  # leave the replay ids out
        self._folder = run
        try:
            self._run = wandb.init(
                project=PROJECT, name=run.name, dir=run, config=config, id=_id_of(run), resume="allow"
            )
        except wandb.errors.UsageError as error:
            raise ConfigError(
                f"--wandb: wandb must accept the run, found: {str(error).splitlines()[0].rstrip('.')}; mend that, or "
                "set WANDB_MODE=offline, then give the same command with --resume"
            ) from error
        if not self._run.offline:
            self._run.use_artifact(store_artifact(data))

    def on_step(self, step: Step) -> None:
        """Log loss, learning rate and speed."""
        values = {"train/loss": step.loss, "train/lr": step.lr, "train/frames_per_second": step.frames_per_second}
        self._run.log(values, step=step.global_step)

    def on_epoch(self, record: Mapping[str, Any]) -> None:
        """Log every number of the validation, with nested names joined by slashes."""
        self._run.log(dict(_flat("val", record["val"])), step=record["global_step"])

    def on_end(self, summary: Mapping[str, Any]) -> None:
        """Log the summary and, unless the run was interrupted, its best weights and config as an artifact; then close."""
        self._run.summary.update(dict(summary))
        import wandb

        best = self._folder / "best.safetensors"
        if best.is_file() and not summary["is_interrupted"]:
            artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", self._folder.name), type="model")
            for path in (best, self._folder / "config.json"):
                artifact.add_file(str(path))
            self._run.log_artifact(artifact, aliases=["best"])
        self._run.finish()

    def on_abort(self) -> None:
        """Close the wandb run as failed."""
        self._run.finish(exit_code=1)


def store_artifact(data: Mapping[str, Any]) -> "wandb.Artifact":
    """An artifact without files that stands for the store, made from a run's ``data`` record."""
    import wandb

    facts = {split: {name: data[split][name] for name in ("replays", "frames", "hours")} for split in ("train", "val")}
    digest = data["manifest_digest"]
    artifact = wandb.Artifact(f"store-{digest}", type="dataset", metadata={"manifest_digest": digest, **facts})
    artifact.add_reference(f"exphil://{digest}", name="store", checksum=False)
    return artifact


def _id_of(run: Path) -> str:
    """The id of the run folder's wandb run; creates one the first time."""
    path = run / ID_FILE
    if not path.is_file():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def _flat(prefix: str, values: Mapping[str, Any]) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for name, value in values.items():
        pairs += _flat(f"{prefix}/{name}", value) if isinstance(value, Mapping) else [(f"{prefix}/{name}", value)]
    return pairs
