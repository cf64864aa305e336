"""The command ``exphil``: composes the four stages' command lines and prints their errors as one sentence."""

import sys

INTERRUPTED = 130
"""How a command ends on Ctrl-C, here as in a shell; SIGTERM ends it at once, which a shell calls 143."""

try:
    import errno
    from importlib import import_module
    from pathlib import Path
    from typing import Annotated, Any

    import typer
    from typer.core import TyperCommand, TyperGroup
except KeyboardInterrupt:
    sys.stderr.write("error: interrupted by Ctrl-C while starting; nothing was begun\n")
    sys.exit(INTERRUPTED)

EXTRAS = dict.fromkeys(("onnx", "onnxscript", "safetensors", "torch", "wandb"), "train")
EXTRAS |= dict.fromkeys(("enet", "melee", "onnxruntime"), "play") | {"peppi_py": "ingest", "huggingface_hub": "hub"}
"""The extra that installs each library."""

NO_NAME = (errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""What a system says to a name that no file can have, or none there: below a file, or of a folder or a link."""

NO_WRITING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""What a disk says that is full or closed to the user."""


class _Command(TyperCommand):
    """A command whose help shows no value beside a flag and no type beside an argument; typer would show both."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [_plain(param) for param in super().get_params(ctx)]


class _Group(TyperGroup):
    """All commands together, with the same help."""

    def get_params(self, ctx: Any) -> list[Any]:
        return [_plain(param) for param in super().get_params(ctx)]


def _plain(param: Any) -> Any:
    if param.param_type_name == "argument":
        param.display_type_rich = lambda ctx: None
    elif param.is_flag:
        param.metavar = ""
    return param


def build_app() -> typer.Typer:
    """Every command of every stage; importing a stage's cli imports nothing heavy."""
    app = typer.Typer(name="exphil", cls=_Group, no_args_is_help=True, pretty_exceptions_enable=False)
    app.callback()(_options)
    for stage in ("ingest", "dataset", "train", "play"):
        import_module(f"{stage}.cli").register(app)
    for command in app.registered_commands:
        command.cls = _Command
    return app


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from dataset.version import VERSION

        typer.echo(f"exphil {VERSION}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Slippi replays in, a playing Melee policy out."""


def main() -> None:
    """Run the command line: exit 0 done, 1 the work failed, 2 wrong usage, 130 interrupted."""
    try:
        _run()
    except KeyboardInterrupt:
        _fail_interrupted()
    except SystemExit as end:
        if end.code == INTERRUPTED:
            _fail_interrupted()
        raise


def _fail_interrupted() -> None:
    _fail("interrupted by Ctrl-C; nothing was left half written, give the command again", INTERRUPTED)


def _run() -> None:
    _refuse_foreign_dataset()
    from dataset.errors import ConfigError, ExphilError
    from dataset.reporting.terminal import make_rich_printable

    try:
        make_rich_printable()
        build_app()()
    except ExphilError as error:
        _fail(str(error), 2 if isinstance(error, ConfigError) else 1)
    except OSError as error:
        if error.errno in NO_NAME:
            _fail(
                f"{error.filename}: must be the name of a file or folder there, found: {error.strerror}; give another",
                2,
            )
        if error.errno not in NO_WRITING and not isinstance(error, PermissionError):  # polars gives no number
            raise
        place = "the disk" if error.filename is None else error.filename
        found = error.strerror or error
        _fail(f"{place}: needs room and permission, found: {found}; free or unlock it, or give another folder", 1)
    except ModuleNotFoundError as error:
        if error.name not in EXTRAS:
            raise
        extra = EXTRAS[error.name]
        _fail(f"{error.name} is not installed; this command needs it: pip install 'exphil[{extra}]'", 1)


def _refuse_foreign_dataset() -> None:
    """PyPI has a package named ``dataset`` too; whichever was installed last wins."""
    package = import_module("dataset")
    if not (Path(str(package.__file__)).parent / "schema.py").exists():
        _fail(
            f"package 'dataset': exphil's own must come first on the path, found {package.__file__}; "
            "use an environment of its own for exphil, or uninstall the other package",
            1,
        )


def _fail(message: str, code: int) -> None:
    try:
        from dataset.reporting.terminal import printable
    except ImportError:  # the foreign package's
        typer.echo(f"error: {message!a}", err=True)
    else:
        typer.echo(f"error: {printable(message, is_one_line=True)}", err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
