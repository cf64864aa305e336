"""``exphil verify``, ``stats``, ``encode`` and ``sync``: arguments only; the modules they import do the work."""

from pathlib import Path
from typing import Annotated

import typer

from dataset.reporting.terminal import ProgressLines, command_line, examples, printable, to_stderr

StoreOption = Annotated[Path, typer.Option(help="Folder of the store.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")]

VERIFY_EXAMPLES = examples("exphil verify --store data/mewtwo", "exphil verify --store data/mewtwo --quick")
STATS_EXAMPLES = examples(
    "exphil stats --store data/mewtwo --query matchups",
    "exphil stats --store data/mewtwo --query techniques --character mewtwo",
    "exphil stats --store data/mewtwo --query conduct --character mewtwo --split train --games 200",
    'exphil stats --store data/mewtwo --sql "SELECT split, COUNT(*) AS games FROM replays GROUP BY split"',
    "exphil stats --store data/mewtwo --html card.html",
    "exphil stats --query likeness --run first --against data/mewtwo --html likeness.html",
    "exphil stats --query likeness --replays arena-replays --character mewtwo --against data/mewtwo",
)
ENCODE_EXAMPLES = examples(
    "exphil encode --store data/mewtwo --codec joint",
    "exphil encode --store data/mewtwo --features all-items-nana",
    'exphil encode --store data/mewtwo --where "quality_a > 0.5 and frames > 3600"',
    "exphil encode --store data/mewtwo --quality",
)
SYNC_EXAMPLES = examples(
    "exphil sync up data/mewtwo --remote b2:melee", "exphil sync down runs --remote b2:melee --dry-run"
)


def register(app: typer.Typer) -> None:
    """Add the stage's commands."""
    app.command("verify", epilog=VERIFY_EXAMPLES)(verify_command)
    app.command("stats", epilog=STATS_EXAMPLES)(stats_command)
    app.command("encode", epilog=ENCODE_EXAMPLES)(encode_command)
    app.command("sync", epilog=SYNC_EXAMPLES)(sync_command)
    app.command("count-techniques", hidden=True)(count_techniques_command)


def verify_command(
    store: StoreOption,
    quick: Annotated[
        bool, typer.Option("--quick", help="Skip the frame table: check neither its hashes nor its rows.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check a whole store: files, counts, order, ids, stick and trigger values, splits, windows, and alignment (the leak check).

    Exits with 1 if any check fails. Too few jumps to check alignment are a warning.
    """
    from dataset.reporting.tables import json_line
    from dataset.reporting.terminal import stdout_console
    from dataset.verify.tables import verdict_json, verdict_table
    from dataset.verify.verify import verify

    lines = ProgressLines()
    verdict = verify(
        store, quick=quick, on_progress=lambda what, done, total: lines(f"{what}: {done} of {total} shards")
    )
    if as_json:
        typer.echo(json_line(verdict_json(verdict)))
    else:
        stdout_console().print(verdict_table(verdict, str(store)))
    raise typer.Exit(0 if verdict.ok else 1)


def stats_command(
    store: Annotated[
        str | None,
        typer.Option(help="Folder or URL of the store; --query likeness takes --against instead.", show_default=False),
    ] = None,
    query: Annotated[
        str | None,
        typer.Option(
            metavar="[summary|characters|stages|matchups|actions|techniques|quality|conduct|likeness]",
            help="What to ask.",
            show_default="summary",
        ),
    ] = None,
    sql: Annotated[
        str | None, typer.Option(help="SQL over the tables replays and frames, instead of a query.", show_default=False)
    ] = None,
    character: Annotated[
        str | None, typer.Option(help="Only this character's games, from its side.", show_default="all")
    ] = None,
    by_player: Annotated[
        bool, typer.Option("--by-player", help="Techniques of each player, by the name's hash.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=4, help="Techniques of the player on this port, for example in dittos.", show_default="all"
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="[train|val|test]", help="Conduct or likeness in this split.", show_default="the whole store"
        ),
    ] = None,
    games: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=1000,
            help="Conduct, or people beside a bot, in at most so many games, chosen by hash: more games include fewer.",
            show_default="50, 200 for likeness",
        ),
    ] = None,
    run: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Likeness of this run: of its own games, in RUN/replays.",
            show_default=False,
            rich_help_panel="A bot beside people (--query likeness)",
        ),
    ] = None,
    replays: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Likeness of the bot in these games: a folder of replays, or a store.",
            show_default=False,
            rich_help_panel="A bot beside people (--query likeness)",
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="STORE",
            help="Folder or URL of a store with people who play the bot's character.",
            show_default=False,
            rich_help_panel="A bot beside people (--query likeness)",
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            dir_okay=False,
            help="Write an HTML page: about the whole store instead of a query, or also about the likeness.",
            show_default=False,
        ),
    ] = None,
    as_csv: Annotated[
        bool,
        typer.Option("--csv", help="Print CSV; an apostrophe marks texts that a spreadsheet would run as formulas."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Query a store: how much it holds, how clean it is, who plays whom on which stage, what players do and how well."""
    from dataset.errors import ConfigError
    from dataset.melee.ids import character_from_name
    from dataset.reporting.tables import csv_text, json_line, plain_rows, show_frame
    from dataset.stats import queries
    from dataset.store.store import Store

    if query == "likeness":
        for name, is_given in (("--store", store is not None), ("--sql", sql is not None), ("--by-player", by_player)):
            if is_given:
                raise ConfigError(f"{name}: has no effect with --query likeness, which takes --against; leave it out")
        _require_one_output(as_csv=as_csv, as_json=as_json)
        from dataset.stats.likeness.report import report_likeness

        report_likeness(
            run=run,
            replays=replays,
            against=against,
            character=character,
            port=port,
            split=split,
            games=games,
            html=html,
            as_csv=as_csv,
            as_json=as_json,
        )
        return
    for name, value in (("--run", run), ("--replays", replays), ("--against", against)):
        if value is not None:
            raise ConfigError(f"{name} {value}: concerns --query likeness alone; leave it out")
    if store is None:
        raise ConfigError("--store: every query but likeness needs a store, found none; give its folder or URL")
    for name, number in (("--split", split), ("--games", games)):
        if number is not None and query != "conduct":
            raise ConfigError(f"{name} {number}: concerns the queries conduct and likeness alone; leave it out")
    is_narrowed = character is not None or by_player or port is not None
    if sql is not None and (query is not None or is_narrowed):
        raise ConfigError(
            "--sql: replaces --query, --character, --by-player and --port, so they cannot take effect beside it; drop "
            "them"
        )
    _require_one_output(as_csv=as_csv, as_json=as_json)
    opened = Store(store)
    if html is not None:
        if sql is not None or query is not None or is_narrowed or as_csv:
            raise ConfigError(
                "--html: shows the whole store, so --query, --sql, --character, --by-player, --port and --csv cannot "
                "take effect beside it; drop them"
            )
        from dataset.stats.card import write_card

        size = write_card(opened, html)
        typer.echo(
            json_line({"html": str(html), "bytes": size}) if as_json else f"{printable(str(html))}: {size:,} bytes"
        )
        return
    if query == "conduct":
        for name, is_given in (("--by-player", by_player), ("--port", port is not None), ("--csv", as_csv)):
            if is_given:
                raise ConfigError(f"{name}: has no effect with --query conduct; leave it out")
        from dataset.stats.conduct.report import report_conduct

        report_conduct(opened, character, split, games, as_json=as_json)
        return
    if sql is not None:
        rows = queries.sql(opened, sql)
    else:
        who = None if character is None else character_from_name(character)
        rows = queries.query(opened, query or "summary", who, by_player=by_player, port=port)
    if as_json:
        typer.echo(json_line({"rows": plain_rows(rows)}))
    elif as_csv:
        typer.echo(csv_text(rows), nl=False)
    else:
        show_frame(rows)
        if rows.is_empty():
            typer.echo(f"no rows; '{command_line('stats', '--store', store)}' says what the store holds", err=True)


def _require_one_output(*, as_csv: bool, as_json: bool) -> None:
    from dataset.errors import ConfigError

    if as_csv and as_json:
        raise ConfigError("--csv and --json: one output at a time; drop one")


def encode_command(
    store: StoreOption,
    codec: Annotated[str | None, typer.Option(help="Codec of the controllers.", show_default="the store's")] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="CHOICE",
            help="Feature groups that windows hold, now and when replays are added: all, all without some "
            "(all-items-nana), or the base with some (base+speeds). Groups: misc (hitstun, jumps left, on the "
            "ground), hurtbox, speeds, hitlag, items, nana. Features left out are 0, as if no replay had recorded "
            "them.",
            show_default="the store's",
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help='Encode only replays whose row of replays.parquet passes this SQL, e.g. "quality_a > 0.5 and frames > 3600", '
            'now and when replays are added; "" lets all pass.',
            show_default="the store's",
        ),
    ] = None,
    quality: Annotated[
        bool,
        typer.Option(
            "--quality", help="Write only quality, winners and damage in the table of replays again, and no windows."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the window shards again from the frame table: with another codec or encoder, other features, or other replays.

    No replay file is read, and the frame table keeps all replays.
    """
    from dataclasses import asdict

    from dataset.errors import ConfigError
    from dataset.reporting.tables import json_line
    from dataset.store.reencode import encode_quality, encode_windows

    lines = ProgressLines()
    if quality:
        for name, given in (("--codec", codec), ("--features", features), ("--where", where)):
            if given is not None:
                raise ConfigError(
                    f"{name}: concerns windows, so it cannot take effect beside --quality; run encode twice"
                )
        derived = encode_quality(store, lambda done, total: lines(f"quality: {done} of {total} shards"))
        if as_json:
            typer.echo(json_line(asdict(derived)))
        else:
            typer.echo(f"quality of {derived.replays:,} replays, {derived.frames:,} frames, {derived.seconds:.1f} s")
            typer.echo(f"next: {command_line('stats', '--store', store, '--query', 'quality')}", err=True)
        return
    done = encode_windows(
        store, codec, lambda done, total: lines(f"encode: {done} of {total} shards"), features=features, where=where
    )
    if as_json:
        typer.echo(json_line(asdict(done)))
    else:
        typer.echo(
            f"{done.frames:,} frames in {done.shards} window shards, codec {done.codec}, features {done.features}, "
            f"encoder {done.encoder_digest}, {done.seconds:.1f} "
            f"s{f'; {done.left:,} replays left out' if done.left else ''}"
        )
        typer.echo(f"next: {command_line('verify', '--store', store)}", err=True)


def sync_command(
    direction: Annotated[str, typer.Argument(metavar="up|down", help="To the remote, or from it.", show_default=False)],
    what: Annotated[
        Path, typer.Argument(metavar="RUNS|STORE", help="A folder of runs (its name must be runs), or a store.")
    ] = Path("runs"),
    remote: Annotated[
        str,
        typer.Option(
            metavar="REMOTE",
            help="An rclone remote with a path (b2:bucket/melee), or a folder.",
            show_default=False,
        ),
    ] = ...,  # type: ignore[assignment]  # typer's way to say that an option must be given
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only report what would be copied.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy runs or a store to a remote or back through rclone; nothing is deleted, and an interrupted copy resumes.

    Runs are copied to REMOTE/runs, a store to REMOTE/NAME. Credentials come from rclone's configuration or environment.
    """
    from dataclasses import asdict

    from dataset.reporting.tables import json_line
    from dataset.store.sync import sync_runs, sync_store

    copy = sync_runs if what.name == "runs" else sync_store
    done = copy(direction, what, remote, is_dry=dry_run, on_progress=None if as_json else to_stderr)
    if as_json:
        typer.echo(json_line(asdict(done)))
    else:
        typer.echo(f"{done.files:,} files, {done.bytes / 1e6:,.1f} MB {'would be ' if dry_run else ''}copied")


def count_techniques_command(
    folders: Annotated[list[Path], typer.Argument(help="What an arena wrote of each pairing.")],
    as_json: JsonOption = False,
) -> None:
    """Count techniques in the frames of an arena; ``exphil arena`` runs this."""
    from dataset.reporting.tables import json_line
    from dataset.stats.conduct.techniques import count_filmed

    films = [{name: counts.tolist() for name, counts in count_filmed(folder).items()} for folder in folders]
    typer.echo(json_line({"films": films}) if as_json else f"{len(films)} pairings; add --json to see the counts")
