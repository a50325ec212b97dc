"""Reading the settings once, at start-up, and naming every mistake by file and line or by variable."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from bridge.config.keys import HOW_TO_CREATE
from bridge.config.settings import Settings, default_embedded_path
from bridge.config.sources import (
    Key,
    Source,
    did_you_mean,
    dotted,
    read_environment,
    read_yaml,
    variable_name,
)
from bridge.errors import ConfigurationError

_MAY_HOLD_A_PASSWORD = (("database", "url"), ("database", "owner_url"), ("mail", "smtp_url"))


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from a YAML file and the environment; a variable wins over the file.

    Args:
        path: The file. None: the one SEATBRIDGE_CONFIG names, else ``config.yaml`` in the working directory
            if there is one, else none: every setting has a default.
        environ: The environment, by default the process's own.

    Raises:
        ConfigurationError: With *all* problems, each with its file and line or its variable, and the nearest
        known
            name where one is misspelt. No message contains a secret.
    """
    environ = os.environ if environ is None else environ
    file = _find_file(path, environ)
    from_file = Source() if file is None else read_yaml(file)
    from_environment = read_environment(environ, Settings)
    problems = [*from_file.problems, *from_environment.problems, *_secrets_in_file(from_file)]
    values = _merge(from_file.values, from_environment.values)
    database = values.setdefault("database", {})
    if isinstance(database, dict):
        database.setdefault("embedded_path", default_embedded_path(environ, as_root=os.geteuid() == 0))
    places = from_file.places | from_environment.places
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        problems += [_describe(detail, places) for detail in error.errors(include_url=False, include_input=False)]
        raise ConfigurationError(problems) from None
    problems += _contradictions(settings, places)
    if problems:
        raise ConfigurationError(problems)
    return _with_absolute_paths(settings, places, file)


def _find_file(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    if path is not None:
        return path
    if environ.get("SEATBRIDGE_CONFIG"):
        return Path(environ["SEATBRIDGE_CONFIG"])
    default = Path("config.yaml")
    return default if default.is_file() else None


def _merge(file: dict[str, Any], environment: dict[str, Any]) -> dict[str, Any]:
    merged = dict(file)
    for section, values in environment.items():
        below = merged.get(section, {})
        # What is not a section is left for validation to name by its line.
        merged[section] = {**below, **values} if isinstance(below, dict) else below
    return merged


def _secrets_in_file(source: Source) -> list[str]:
    """Refuse secrets written into the file: such files are copied, committed and shown in support tickets."""
    problems = []
    secrets_section = source.values.get("secrets")
    if isinstance(secrets_section, dict) and secrets_section.get("keys"):
        place = source.places[("secrets", "keys")]
        variable = variable_name(("secrets", "keys"))
        problems.append(
            f"{place}: secrets.keys: keys are not accepted in this file: name a file with secrets.keys_file, "
            f"or set {variable}"
        )
    metrics_section = source.values.get("metrics")
    if isinstance(metrics_section, dict) and metrics_section.get("token"):
        place, variable = source.places[("metrics", "token")], variable_name(("metrics", "token"))
        problems.append(f"{place}: metrics.token: a token is not accepted in this file: set {variable}")
    for section, key in _MAY_HOLD_A_PASSWORD:
        values = source.values.get(section)
        value = values.get(key) if isinstance(values, dict) else None
        if isinstance(value, str) and _has_password(value):
            place, variable = source.places[(section, key)], variable_name((section, key))
            problems.append(f"{place}: {section}.{key}: a password is not accepted in this file: set {variable}")
    return problems


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.password is not None or "password=" in parts.query


def _describe(detail: Mapping[str, Any], places: Mapping[Key, str]) -> str:
    path: Key = tuple(detail["loc"])
    place = next((places[path[:end]] for end in range(len(path), 0, -1) if path[:end] in places), None)
    if detail["type"] == "extra_forbidden":
        message = f"not permitted{did_you_mean(str(path[-1]), _siblings(path))}"
    else:
        message = detail["msg"].removeprefix("Value error, ")
        message = message[:1].lower() + message[1:]
    if place is None:
        return f"{dotted(path)}: {message}"
    return f"{place}: {message}" if place == variable_name(path) else f"{place}: {dotted(path)}: {message}"


def _siblings(path: Key) -> list[str]:
    model: Any = Settings
    for part in path[:-1]:
        info = model.model_fields.get(part) if isinstance(part, str) else None
        if info is None or not hasattr(info.annotation, "model_fields"):
            return []
        model = info.annotation
    return list(model.model_fields)


def _contradictions(settings: Settings, places: Mapping[Key, str]) -> list[str]:
    """Return what is wrong between settings that are each right alone."""
    problems = []
    external = ("database", "url")
    if settings.database.url is not None and not settings.secrets.keys and settings.secrets.keys_file is None:
        problems.append(
            f"{places.get(external, 'database.url')}: secrets: no key is set, "
            f"and an external database needs one: {HOW_TO_CREATE}"
        )
    if settings.database.owner_url is not None and settings.database.url is None:
        place = places.get(("database", "owner_url"), "database.owner_url")
        problems.append(f"{place}: database.owner_url: is only used together with database.url")
    return problems


def _with_absolute_paths(settings: Settings, places: Mapping[Key, str], file: Path | None) -> Settings:
    """Resolve ``~`` and relative paths once, so that a later change of directory changes nothing.

    Relative paths of the file are relative to the file; those of the environment to the working directory.
    """

    def absolute(section: str, key: str, path: Path) -> Path:
        from_file = places.get((section, key)) != variable_name((section, key))
        base = file.resolve().parent if file is not None and from_file else Path.cwd()
        return base / path.expanduser()

    database, secrets = settings.database, settings.secrets
    database = database.model_copy(
        update={"embedded_path": absolute("database", "embedded_path", database.embedded_path)}
    )
    if secrets.keys_file is not None:
        secrets = secrets.model_copy(update={"keys_file": absolute("secrets", "keys_file", secrets.keys_file)})
    return settings.model_copy(update={"database": database, "secrets": secrets})
