"""The commands of this stage, each with the examples that end its help."""

import typer

from dataset.reporting.terminal import examples


def register(app: typer.Typer) -> None:
    """Add the commands; what one needs is imported when it runs."""
    from train.commands.compare import compare, sweep
    from train.commands.doctor import doctor
    from train.commands.eval import evaluate
    from train.commands.export import export
    from train.commands.hub import hub
    from train.commands.train import train

    app.command(
        "train",
        epilog=examples(
            "exphil train --store data/mewtwo --train-character mewtwo --backbone gru --epochs 3 --lr 2e-3 --name first",
            "exphil train --store data/mewtwo --preset full --show-config",
            "exphil train --store data/mewtwo --train-character mewtwo --init-from first --lr 3e-4 --name tuned",
            "exphil train --store data/mewtwo --train-character mewtwo --backbone gru --epochs 3 --lr 2e-3 --name first --resume",
        ),
    )(train)
    app.command(
        "eval",
        epilog=examples(
            "exphil eval --policy first --store data/mewtwo --split test --detailed",
            "exphil eval --compare first second --store data/mewtwo",
        ),
    )(evaluate)
    app.command(
        "export",
        epilog=examples(
            "exphil export first",
            "exphil export first --int8 --store data/mewtwo",
            "exphil export first --umi mewtwo.zip --entry-name Mewtwo --check",
        ),
    )(export)
    app.command(
        "compare",
        epilog=examples(
            "exphil compare --store data/mewtwo --train-character mewtwo --minutes-per-run 10 --seeds 2 --name all",
            "exphil compare --store data/mewtwo --backbones gru,mamba --quick",
            "exphil compare first second third --store data/duels --arena duel --games 64 --name played",
        ),
    )(compare)
    app.command(
        "sweep",
        epilog=examples(
            "exphil sweep size --store data/mewtwo --train-character mewtwo --backbone mamba --minutes-per-run 10",
            "exphil sweep delay --store data/mewtwo --values 0,4 --epochs 2 --name delays",
            "exphil sweep data --store data/mewtwo --train-character mewtwo --epochs 3",
        ),
    )(sweep)
    app.command("doctor", epilog=examples("exphil doctor", "exphil doctor --no-speed --json"))(doctor)
    app.command(
        "hub",
        epilog=examples(
            "exphil hub push data/mewtwo --repo me/mewtwo-frames --private",
            "exphil hub push first --repo me/mewtwo-gru --dry-run",
            "exphil hub pull runs/falco --repo me/falco-gru",
        ),
    )(hub)
