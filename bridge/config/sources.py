"""The two places settings come from, each value with the place to name when it is wrong."""

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, SecretStr

Key = tuple[str | int, ...]
PREFIX = "SEATBRIDGE__"
#: What the variable of a secret ends with when it names a file that holds it.
FROM_FILE = "_FILE"
_NAME = "SEATBRIDGE_"
#: What is no setting: the file's name, tokens for `simulate push` and `billing connect`, a folder for tests' pictures.
_OTHERS = frozenset(
    {
        "SEATBRIDGE_CONFIG",
        "SEATBRIDGE_SCIM_TOKEN",
        "SEATBRIDGE_CORE_TOKEN",
        "SEATBRIDGE_WEBHOOK_SECRET",
        "SEATBRIDGE_PICTURES",
    }
)
# Container platforms set these for a service whose name begins as ours: SEATBRIDGE_WEB_SERVICE_HOST=10.0.0.1,
# SEATBRIDGE_WEB_PORT=tcp://10.0.0.1:8080 and so on. Nobody writes an address of that form to set a port.
_PLATFORM_NAME = re.compile(
    r"SEATBRIDGE_([A-Z0-9]+_)*"
    r"(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_PLATFORM_VALUE = re.compile(r"(tcp|udp|sctp)://.*")


@dataclass(frozen=True, slots=True)
class Source:
    """Raw values by section, the place of each path, and the problems found while reading."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[Key, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` (did you mean X?)`` for the known word nearest to a mistaken one, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def dotted(path: Key) -> str:
    """Write a path as people read it: ``server.port``."""
    return ".".join(str(part) for part in path)


def read_yaml(path: Path) -> Source:
    """Read a YAML file, keeping the line of every key and refusing a key given twice."""
    source = Source()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        source.problems.append(f"{path}: cannot be read ({reason})")
        return source
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return source
        _note_places(node, (), path, source, set())
        values = loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        source.problems.append(f"{path}{line}: not valid YAML: {error.problem or error.context}")
        return source
    except yaml.YAMLError as error:
        source.problems.append(f"{path}: not valid YAML: {str(error).splitlines()[0]}")
        return source
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        source.problems.append(f"{path}:{node.start_mark.line + 1}: must be sections such as `server:`")
        return source
    # A section whose keys are all commented out reads as null: it means "nothing set here".
    source.values.update({str(name): {} if section is None else section for name, section in values.items()})
    return source


def _note_places(node: yaml.Node, path: Key, file: Path, source: Source, seen: set[int]) -> None:
    """Record ``file:line`` for every path below a node; an alias is followed once, so a circle ends."""
    if id(node) in seen:
        return
    seen.add(id(node))
    source.places.setdefault(path, f"{file}:{node.start_mark.line + 1}")
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _note_places(item, (*path, index), file, source, seen)
    if not isinstance(node, yaml.MappingNode):
        return
    lines: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        child = (*path, name)
        if name in lines:
            source.problems.append(f"{file}:{line}: {dotted(child)}: given twice (first on line {lines[name]})")
        lines.setdefault(name, line)
        source.places.setdefault(child, f"{file}:{line}")
        _note_places(value, child, file, source, seen)


def variable_name(path: Key) -> str:
    """Return the environment variable of a setting, such as ``SEATBRIDGE__SERVER__PORT``."""
    return PREFIX + "__".join(str(part).upper() for part in path)


def read_environment(environ: Mapping[str, str], model: type[BaseModel]) -> Source:
    """Read ``SEATBRIDGE__SECTION__KEY`` variables; another one that begins with ``SEATBRIDGE_`` is a problem.

    Those that container platforms set by themselves, such as ``SEATBRIDGE_PORT=tcp://...``, are not ours. An empty
    value means "not set", as it does in container files. A secret may stand in a file that its variable, with ``_FILE``
    behind it, names: container platforms and service managers hand secrets over so.
    """
    source = Source()
    known = {variable_name(path): path for path in setting_paths(model)}
    by_file = {f"{variable_name(path)}{FROM_FILE}": path for path in secret_paths(model)}
    for name in sorted(environ):
        if not name.startswith(_NAME) or name in _OTHERS or _is_a_platforms(name, environ[name]):
            continue
        path = known.get(name) or by_file.get(name)
        if path is None:
            source.problems.append(f"{name}: not permitted{did_you_mean(name, [*known, *by_file, *_OTHERS])}")
            continue
        value = environ[name].strip()
        if value and name not in known:
            value = _content(name, Path(value).expanduser(), source)
        if value and path in source.places:
            source.problems.append(f"{name}: {dotted(path)}: is set by {source.places[path]} already")
        elif value:
            section, key = str(path[0]), str(path[1])
            source.values.setdefault(section, {})[key] = _parse(value, model, section, key)
            source.places[path] = name
    return source


def _content(name: str, file: Path, source: Source) -> str:
    """Return what a secret's file holds, without the line's end; nothing and a problem when it holds none."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        source.problems.append(f"{name}: {file} cannot be read ({reason})")
        return ""
    if not text:
        source.problems.append(f"{name}: {file} is empty")
    return text


def _is_a_platforms(name: str, value: str) -> bool:
    """Tell whether a container platform announces a service by this variable."""
    if name.startswith(PREFIX):
        return False
    return _PLATFORM_NAME.fullmatch(name) is not None or _PLATFORM_VALUE.fullmatch(value) is not None


def _parse(text: str, model: type[BaseModel], section: str, key: str) -> str | list[str]:
    is_list = Ellipsis in get_args(dict(sections(model))[section].model_fields[key].annotation)
    return [part.strip() for part in text.split(",") if part.strip()] if is_list else text


def sections(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    """Return the name and the model of every section, in the order they are declared."""
    return [
        (name, info.annotation)
        for name, info in model.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    ]


def setting_paths(model: type[BaseModel]) -> list[Key]:
    """Return ``(section, key)`` of every setting, in the order they are declared."""
    return [(name, key) for name, section in sections(model) for key in section.model_fields]


def secret_paths(model: type[BaseModel]) -> list[Key]:
    """Return ``(section, key)`` of every secret that a file of its own may hold; keys have a setting for theirs."""
    return [
        (name, key)
        for name, section in sections(model)
        for key, info in section.model_fields.items()
        if SecretStr in get_args(info.annotation) and f"{key}{FROM_FILE.lower()}" not in section.model_fields
    ]
