"""``data_manifest.yaml``: the named datasets that a person edits, and the ``locked`` block that ingest writes into each.

A block holds counts and a digest of the data, so that a git diff shows when the data changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken
from ruamel.yaml.util import load_yaml_guess_indent

from dataset.errors import ConfigError, ExphilError
from dataset.io.atomic import replacing
from ingest.options import IngestOptions

DATASETS_NAME = "data_manifest.yaml"

_KEYS = (
    "sources",
    "store",
    "character",
    "codec",
    "min_frames",
    "include_cpu",
    "keep_all",
    "rollback",
    "split_seed",
    "keep_names",
    "locked",
)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One named dataset."""

    name: str
    sources: tuple[str, ...]
    """Paths; relative ones are meant from the file's folder."""
    store: str
    options: Mapping[str, Any]
    """Fields of ``IngestOptions`` that the file sets."""

    def ingest_options(self, **others: Any) -> IngestOptions:
        """The options of this dataset, with those of the run (workers, rebuild …)."""
        return IngestOptions(**{**others, **self.options})


@dataclass(frozen=True, kw_only=True)
class Lock:
    """What a dataset's store held after its ingest."""

    replays: int
    frames: int
    digest: str

    @property
    def hours(self) -> float:
        """Playing time at 60 frames/s."""
        return round(self.frames / 60 / 3600, 2)


def load_datasets(path: Path) -> list[Dataset]:
    """The datasets of a file, in its order.

    Raises:
        ConfigError: the file is missing, not YAML, says something unknown, or has no room for a lock.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path}: ingest without a SOURCE works through this file, found none; "
            "give a SOURCE and --store, or write one (exphil's repository has an example)"
        )
    try:
        found = _yaml().load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: must be readable, found: {error.strerror}; mend its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8, found another encoding; save it as UTF-8") from error
    except MarkedYAMLError as error:
        where = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ConfigError(f"{path}: must be YAML, {error.problem}{where}; mend the file") from error
    datasets = found.get("datasets") if isinstance(found, CommentedMap) else None
    if not isinstance(datasets, CommentedMap) or not datasets:
        raise ConfigError(f"{path}: must hold a mapping 'datasets' of at least one dataset, found none; add one")
    loaded = [_dataset(path, str(name), entry) for name, entry in datasets.items()]
    for name, entry in datasets.items():
        if entry.lc.line < datasets.lc.key(name)[0]:
            raise ConfigError(
                f"{path}, dataset '{name}': must be written out so that its lock can be written, found an alias (*…) of another "
                "block; write it out, or begin it with '<<: *…'"
            )
    return loaded


def _dataset(path: Path, name: str, entry: Any) -> Dataset:
    what = f"{path}, dataset '{name}'"
    if not isinstance(entry, dict):
        raise ConfigError(f"{what}: must be a mapping, found {type(entry).__name__}; give it 'sources' and 'store'")
    unknown = sorted(set(entry) - set(_KEYS))
    if unknown:
        raise ConfigError(f"{what}: keys are {', '.join(_KEYS)}, found '{unknown[0]}'; mend or drop it")
    sources = entry.get("sources")
    if isinstance(sources, str):
        sources = [sources]
    if not isinstance(sources, list) or not sources or not isinstance(entry.get("store"), str):
        lacking = "store" if isinstance(sources, list) and sources else "sources"
        raise ConfigError(f"{what}: must name 'sources' (paths) and 'store' (a folder), found no '{lacking}'; add it")
    if not all(isinstance(source, str) and source for source in sources):
        raise ConfigError(f"{what}: 'sources' are paths or URLs, found {sources!r}; mend them, in quotes if need be")
    options = {key: value for key, value in entry.items() if key not in ("sources", "store", "locked")}
    dataset = Dataset(
        name=name,
        sources=tuple(_from_folder(path, source) for source in sources),
        store=_from_folder(path, entry["store"]),
        options=options,
    )
    _check_types(what, options)
    dataset.ingest_options()  # refuses bad values here, with the dataset's name at hand
    return dataset


def _check_types(what: str, options: Mapping[str, Any]) -> None:
    words: dict[type, str] = {str: "a word", int: "a whole number", bool: "true or false"}
    wanted = {"character": str, "codec": str, "min_frames": int, "include_cpu": bool, "keep_all": bool, "rollback": str}
    wanted |= {"split_seed": int, "keep_names": bool}
    for key, value in options.items():
        if not isinstance(value, wanted[key]) or (isinstance(value, bool) and wanted[key] is not bool):
            raise ConfigError(f"{what}: '{key}' must be {words[wanted[key]]}, found {value!r}; mend it")


def _from_folder(path: Path, named: str) -> str:
    return named if "://" in named else str(path.parent / Path(named).expanduser())


def _yaml() -> YAML:
    """Reads and writes YAML with its comments, quotes and long lines."""
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 2**16
    return yaml


def write_lock(path: Path, name: str, lock: Lock) -> None:
    """Write the ``locked`` block of one dataset, at its end if it has none yet; comments and all other entries stay."""
    path = path.resolve()  # a link to the file stays one
    text = path.read_bytes().decode()
    yaml = _yaml()
    found, indent, offset = load_yaml_guess_indent(text.replace("\r\n", "\n"), yaml=yaml)
    key = next(key for key in found["datasets"] if str(key) == name)  # YAML reads 0 as a number
    yaml.indent(mapping=found["datasets"].lc.key(key)[1], sequence=indent or 4, offset=2 if offset is None else offset)
    entry = found["datasets"][key]
    values = {"replays": lock.replays, "frames": lock.frames, "hours": lock.hours}
    block = CommentedMap(values | {"digest": DoubleQuotedScalarString(lock.digest)})
    own = dict(entry.non_merged_items())
    if isinstance(own.get("locked"), CommentedMap):
        own["locked"].update(block)
    else:
        if "locked" in own:
            del entry["locked"]
        block.ca.items["digest"] = [None, None, _take_comment_below(entry), None]
        entry["locked"] = block
        if not entry.fa.flow_style():
            entry.yaml_add_eol_comment("written by exphil ingest", "locked")
    written = StringIO()
    yaml.dump(found, written)
    try:
        with replacing(path) as temporary:
            ending = "\r\n" if "\r\n" in text else "\n"
            temporary.write_text(written.getvalue(), encoding="utf-8", newline=ending)
    except OSError as error:
        raise ExphilError(
            f"{path}: its 'locked' block must be written, found: {error.strerror}; mend that and run the same command "
            f"again: what '{name}' holds is in its store"
        ) from error


def _take_comment_below(node: Any) -> CommentToken | None:
    """Take away the lines of comments below a block, which belong to what follows it; they hang on its last value."""
    key = list(node.non_merged_items())[-1][0] if isinstance(node, CommentedMap) else len(node) - 1
    if isinstance(node[key], CommentedMap | CommentedSeq) and node[key] and not node[key].fa.flow_style():
        return _take_comment_below(node[key])
    token = (node.ca.items.get(key) or [None] * 4)[2 if isinstance(node, CommentedMap) else 0]
    if token is None:
        return None
    own, _, below = token.value.partition("\n")
    token.value = f"{own}\n"
    return CommentToken(f"\n{below}", token.start_mark, None)
