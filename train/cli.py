"""The command line of ``exphil train``; ``train.config`` decides what the arguments mean."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dataset.reporting.command_lines import examples

if TYPE_CHECKING:
    from train.callbacks.base import Callback
    from train.config.resolve import Resolved

StorePath = Annotated[str | None, typer.Option("--store", help="Folder or URL of the store.", metavar="STORE")]
ReplaysPath = Annotated[
    Path | None, typer.Option("--replays", help="Replays to ingest first, into a cached store.", metavar="PATH")
]
TolerateBadShards = Annotated[
    int,
    typer.Option("--tolerate-bad-shards", help="Window shards that may be damaged or missing: skipped and counted."),
]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]


def register(app: typer.Typer) -> None:
    """Add this stage's commands."""
    from train.commands.compare import register as register_compare
    from train.commands.doctor import register as register_doctor
    from train.commands.eval import register as register_eval
    from train.commands.export import register as register_export
    from train.commands.hub import register as register_hub
    from train.commands.sweep import register as register_sweep

    app.command(
        "train",
        epilog=examples(
            "exphil train --store data/mewtwo --train-character mewtwo --backbone gru --epochs 3 --lr 2e-3 --name first",
            "exphil train --store data/mewtwo --preset full --show-config",
            "exphil train --store data/mewtwo --train-character mewtwo --init-from first --lr 3e-4 --name tuned",
            "exphil train --store data/mewtwo --train-character mewtwo --backbone gru --epochs 3 --lr 2e-3 --name first --resume",
        ),
    )(train)
    register_eval(app)
    register_export(app)
    register_compare(app)
    register_sweep(app)
    register_doctor(app)
    register_hub(app)


def train(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Option("--name", help="Run name: the folder under --runs.")] = None,
    store: StorePath = None,
    replays: ReplaysPath = None,
    runs: Annotated[Path, typer.Option("--runs", help="Where run folders lie.")] = Path("runs"),
    preset: Annotated[
        str | None,
        typer.Option("--preset", help="quick, standard, full or production: settings that flags then override."),
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print every setting and where it came from, and train nothing.")
    ] = False,
    train_character: Annotated[
        str | None, typer.Option("--train-character", help="Whose players to imitate; default: all players.")
    ] = None,
    temporal: Annotated[
        bool | None, typer.Option("--temporal/--no-temporal", help="Insist on a backbone that remembers, or does not.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option("--backbone", help="mlp, lstm, gru, mamba, sliding_window or jamba; default gru."),
    ] = None,
    hidden_sizes: Annotated[
        str | None, typer.Option("--hidden-sizes", help="Width of every layer; default 256,256.")
    ] = None,
    num_layers: Annotated[
        int | None, typer.Option("--num-layers", help="Layers; default: as many as --hidden-sizes lists.")
    ] = None,
    num_heads: Annotated[
        int | None, typer.Option("--num-heads", help="Attention heads (sliding_window, jamba); default 4.")
    ] = None,
    attention_every: Annotated[
        int | None,
        typer.Option("--attention-every", help="Attend in every Nth layer; default 1 (sliding_window), 3 (jamba)."),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec", help="axis17 or joint: how controllers become classes, as in the store; default axis17."
        ),
    ] = None,
    head: Annotated[
        str | None, typer.Option("--head", help="autoregressive or independent; default autoregressive.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            help="Feature groups the policy is given, here and in play: all, all less some (all-items-nana), or the base and "
            "some (base+speeds), of misc, hurtbox, speeds, hitlag, items, nana; default all.",
            metavar="CHOICE",
        ),
    ] = None,
    action_mode: Annotated[
        str | None, typer.Option("--action-mode", help="Action states: learned (a table) or one_hot; default learned.")
    ] = None,
    character_mode: Annotated[
        str | None, typer.Option("--character-mode", help="Characters: learned (a table) or one_hot; default learned.")
    ] = None,
    stage_mode: Annotated[
        str | None,
        typer.Option(
            "--stage-mode",
            help="Stage: learned (a table), compact (a column a legal stage and one for others) or one_hot (legal "
            "stages only); default learned.",
        ),
    ] = None,
    dropout: Annotated[float | None, typer.Option("--dropout", help="Share of units dropped; default 0.")] = None,
    prev_dropout: Annotated[
        float | None,
        typer.Option("--prev-dropout", help="Share of windows that hide the previous controller; default 0."),
    ] = None,
    delay: Annotated[int | None, typer.Option("--delay", help="Frames between seeing and acting; default 0.")] = None,
    online_robust: Annotated[
        bool | None,
        typer.Option("--online-robust", help="Train each replay at a delay drawn from 2 to 4 frames; plays at 3."),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment", help="Mirror half of the replays, and add noise to positions and speeds."
        ),
    ] = None,
    max_replays: Annotated[
        int | None,
        typer.Option(
            "--max-replays",
            help="Train on N replays of the train split, chosen by --seed, a larger N with the same and more; default: all.",
        ),
    ] = None,
    sampling: Annotated[
        str | None,
        typer.Option(
            "--sampling", help="lanes carry the state through replays, windows begin anywhere without; default lanes."
        ),
    ] = None,
    supervise: Annotated[
        str | None,
        typer.Option(
            "--supervise",
            help="Frames of a window to predict: all after the burn-in, or last (then measured on every 8th frame); default all.",
        ),
    ] = None,
    burn_in: Annotated[
        int | None,
        typer.Option("--burn-in", help="Frames of a window seen, not predicted; default: half of it, 0 for an mlp."),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Rows of a batch: replays walked at once; default 32.")
    ] = None,
    window_size: Annotated[
        int | None,
        typer.Option("--window-size", help="Frames a lane advances in one step, and attention sees; default 64."),
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Times each frame is trained on; default 10.")] = None,
    max_steps: Annotated[
        int | None,
        typer.Option("--max-steps", help="End after N steps, and the schedule with them; default: with the epochs."),
    ] = None,
    lr: Annotated[float | None, typer.Option("--lr", help="Peak learning rate; default 0.001.")] = None,
    lr_schedule: Annotated[
        str | None, typer.Option("--lr-schedule", help="constant or cosine; default cosine.")
    ] = None,
    layer_lr_decay: Annotated[
        float | None,
        typer.Option(
            "--layer-lr-decay", help="With --init-from: the rate of each layer as a share of the one above; default 1."
        ),
    ] = None,
    warmup_steps: Annotated[int | None, typer.Option("--warmup-steps", help="Steps of linear rise; default 0.")] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="AdamW's, of matrices only; default 0.01.")
    ] = None,
    max_grad_norm: Annotated[
        float | None, typer.Option("--max-grad-norm", help="Gradients' largest norm; 0: any; default 1.")
    ] = None,
    grad_accumulation: Annotated[
        int | None, typer.Option("--grad-accumulation", help="Batches whose gradients make one step; default 1.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option("--precision", help="fp32 or bf16: what training computes in; losses stay fp32; default fp32."),
    ] = None,
    compile_mode: Annotated[
        str,
        typer.Option(
            "--compile", help="auto, off or on: fuse a step's operations with torch.compile; auto does on CUDA."
        ),
    ] = "auto",
    ema: Annotated[
        bool | None, typer.Option("--ema/--no-ema", help="Keep an average of the weights; validate and save it.")
    ] = None,
    ema_decay: Annotated[
        float | None, typer.Option("--ema-decay", help="Share of the average that survives a step; default 0.999.")
    ] = None,
    early_stopping: Annotated[
        bool | None,
        typer.Option("--early-stopping/--no-early-stopping", help="Stop when the val NLL no longer falls."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option("--patience", help="Epochs without a better val NLL before stopping; default 5.")
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option("--label-smoothing", help="Share spread over all classes of sticks and trigger; default 0."),
    ] = None,
    focal_loss: Annotated[
        bool | None, typer.Option("--focal-loss/--no-focal-loss", help="Weigh uncertain decisions more.")
    ] = None,
    focal_gamma: Annotated[
        float | None, typer.Option("--focal-gamma", help="How much more: (1 - p)^gamma; default 2.")
    ] = None,
    button_pos_weight: Annotated[
        float | None, typer.Option("--button-pos-weight", help="Weight of a pressed button; default 1, neutral.")
    ] = None,
    weight_by: Annotated[
        str | None,
        typer.Option(
            "--weight-by",
            help="none, quality (of the imitated player) or matchup (rare ones more): how much replays count.",
        ),
    ] = None,
    tolerate_bad_shards: TolerateBadShards = 0,
    seed: Annotated[int | None, typer.Option("--seed", help="Of weights, order and dropout; default 0.")] = None,
    device: Device = "auto",
    num_workers: Annotated[
        int,
        typer.Option(
            "--num-workers", min=0, help="Threads that decode replays ahead of training; 0 decodes between its steps."
        ),
    ] = 1,
    init_from: Annotated[
        str | None,
        typer.Option("--init-from", help="Begin with the weights of a run that is built alike.", metavar="RUN"),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run of that name.")] = False,
    wandb: Annotated[bool, typer.Option("--wandb", help="Log to Weights & Biases.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a policy by imitation, into RUNS/NAME."""
    from dataset.errors import ConfigError
    from train.config.resolve import resolve
    from train.distributed import is_first_rank, num_ranks
    from train.fit.train_run import train_run

    resolved = resolve(preset, {flag: value for flag, value in ctx.params.items() if value is not None})
    if show_config:
        _show_config(resolved, as_json)
        return
    if name is None:
        raise ConfigError("--name: says where the run is kept, found none; give e.g. --name first")
    if replays is not None and num_ranks() > 1:
        raise ConfigError(
            f"--replays {replays}: is ingested by one process, found {num_ranks()}; run 'exphil ingest' first, then give "
            "them its --store"
        )
    folder = find_store(store, replays, train_character, resolved.config.policy.codec)
    summary = train_run(
        resolved.config,
        folder,
        name,
        runs=runs,
        device=device,
        callbacks=make_callbacks(wandb),
        is_resumed=resume,
        init_from=init_from,
        tolerate_bad_shards=tolerate_bad_shards,
        compile_mode=compile_mode,
        num_workers=num_workers,
    )
    if is_first_rank():
        _show_summary(summary, folder, as_json)


def find_store(store: str | None, replays: Path | None, character: str | None, codec: str) -> str:
    """The store that ``--store`` names, or the cached one that ``--replays`` are ingested into with ``codec``."""
    from dataset.errors import ConfigError

    if (store is None) == (replays is None):
        found = "neither" if store is None else "both"
        raise ConfigError(f"--store or --replays: exactly one says where the data is, found {found}; give one")
    if store is not None:
        return store
    assert replays is not None
    from ingest.jobs.cached_store import cached_store
    from ingest.options import IngestOptions

    return str(cached_store([replays], IngestOptions(character=character, codec=codec)))


def make_callbacks(is_logged: bool) -> "list[Callback]":
    """What is told of a training's course: a person, the run's page, and a logging service if wanted."""
    from train.callbacks.progress import ProgressReport
    from train.callbacks.run_page import RunPage

    callbacks: list[Callback] = [ProgressReport(), RunPage()]
    if is_logged:
        from train.callbacks.wandb_log import WandbLog

        callbacks.append(WandbLog())
    return callbacks


def _show_config(resolved: "Resolved", as_json: bool) -> None:
    from train.config.resolve import table
    from train.config.run_config import to_json

    typer.echo(table(resolved), err=as_json)
    if as_json:
        typer.echo(json.dumps({"config": to_json(resolved.config), "origins": dict(resolved.origins)}))


def _show_summary(summary: dict[str, Any], source: str, as_json: bool) -> None:
    from dataset.store.store import Store
    from train.measure.report import next_step, summary_text

    has_test = any(shard.samples for shard in Store(source).manifest.of_kind("windows", "test"))
    typer.echo(summary_text(summary), err=True)
    typer.echo(f"next: {next_step(summary, source, 'test' if has_test else 'val')}", err=True)
    if as_json:
        typer.echo(json.dumps(summary))
