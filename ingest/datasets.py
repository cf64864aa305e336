"""``data_manifest.yaml``: the named datasets a person edits, and the ``locked`` block that ingest writes under each.

In: the file. Out: what to ingest where, and the same file with counts and digests that a git diff shows. The surprise: the
file is *edited*, not dumped, so comments and layout survive; a locked block runs from its ``locked:`` line to the next line
that is indented no deeper.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

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
        text = path.read_text(encoding="utf-8")
        found = yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"{path}: must be readable, found: {error.strerror}; mend its permissions") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: must be UTF-8, found another encoding; save it as UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: must be YAML, found {_first_line(error)}; mend the file") from error
    datasets = found.get("datasets") if isinstance(found, dict) else None
    if not isinstance(datasets, dict) or not datasets:
        raise ConfigError(f"{path}: must hold a mapping 'datasets' of at least one dataset, found none; add one")
    names = Counter(name.value for name, _ in _dataset_nodes(text))
    if max(names.values()) > 1:
        raise ConfigError(
            f"{path}: each dataset has a name of its own, found '{max(names, key=names.__getitem__)}' twice"
        )
    loaded = [_dataset(path, str(name), entry) for name, entry in datasets.items()]
    for dataset in loaded:
        _dataset_lines(path, text.splitlines(), dataset.name)  # which is no time to hear of after its ingest
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
        if type(value) is not wanted[key]:
            raise ConfigError(f"{what}: '{key}' must be {words[wanted[key]]}, found {value!r}; mend it")


def _from_folder(path: Path, named: str) -> str:
    return named if "://" in named else str(path.parent / Path(named).expanduser())


def _first_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())


def write_lock(path: Path, name: str, lock: Lock) -> None:
    """Replace the ``locked`` block of one dataset, or add it at the dataset's end; every other line stays as it is."""
    path = path.resolve()  # a link to the file stays one
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read()
    lines = text.splitlines()
    start, end = _dataset_lines(path, lines, name)
    indent = _indent(next(line for line in lines[start + 1 : end] if _is_content(line)))
    kept = _without_lock(lines[start + 1 : end], indent)
    block = [
        " " * indent + "locked: # written by exphil ingest",
        *(" " * (indent + 2) + f"{key}: {value}" for key, value in _entries(lock)),
    ]
    tail = len(kept)
    while tail and not _is_content(kept[tail - 1]):
        tail -= 1  # blank lines and comments at the end belong to what follows
    lines[start + 1 : end] = [*kept[:tail], *block, *kept[tail:]]
    ending = "\r\n" if "\r\n" in text else "\n"
    try:
        with replacing(path) as temporary:
            temporary.write_text("".join(line + ending for line in lines), encoding="utf-8", newline="")
    except OSError as error:
        raise ExphilError(
            f"{path}: its 'locked' block must be written, found: {error.strerror}; mend that and run the same command "
            f"again: what '{name}' holds is in its store"
        ) from error


def _entries(lock: Lock) -> list[tuple[str, object]]:
    return [("replays", lock.replays), ("frames", lock.frames), ("hours", lock.hours), ("digest", f'"{lock.digest}"')]


def _dataset_lines(path: Path, lines: list[str], name: str) -> tuple[int, int]:
    """[first, last) lines of a dataset: its own and all that are indented deeper."""
    for dataset, entry in _dataset_nodes("\n".join(lines)):
        start = dataset.start_mark.line
        # Braces may begin on the same line, and what an alias (*name) stands for lies above.
        if str(dataset.value) == name and not entry.flow_style and entry.value[0][0].start_mark.line > start:
            return start, _block_end(lines, start, _indent(lines[start]))
    raise ConfigError(
        f"{path}, dataset '{name}': must be a block of indented lines so that its lock can be written, found none; "
        "write it out, without braces or an alias"
    )


def _dataset_nodes(text: str) -> list[tuple[yaml.ScalarNode, yaml.MappingNode]]:
    """Name and entry of every dataset, as they stand in the text."""
    node = yaml.compose(text)
    assert isinstance(node, yaml.MappingNode), "load_datasets has read this file"
    return [pair for key, value in node.value if key.value == "datasets" for pair in value.value]


def _block_end(lines: list[str], start: int, indent: int) -> int:
    end = start + 1
    while end < len(lines) and (not _is_content(lines[end]) or _indent(lines[end]) > indent):
        end += 1
    return end


def _without_lock(lines: list[str], indent: int) -> list[str]:
    for start, line in enumerate(lines):
        if _indent(line) == indent and line.strip().startswith("locked:"):
            end = _block_end(lines, start, indent)
            comments = [line for line in lines[start:end] if not _is_content(line)]
            return lines[:start] + comments + lines[end:]
    return lines


def _is_content(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
