"""``seatbridge init``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridge.cli.showing import json_option, print_facts, print_json

if TYPE_CHECKING:
    from bridge.config.sources import Key

_CONFIG, _KEYS = "config.yaml", "keys"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--public-url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Address of the service as browsers and identity providers see it.",
)
@click.option("--proxies", type=click.IntRange(0, 10), help="Proxies in front (default: 1 with https, else 0).")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the embedded database (default: that of database.embedded_path).",
)
@json_option
def init(folder: Path, public_url: str, proxies: int | None, data: Path | None, *, as_json: bool) -> None:
    """Write configuration and keys of a first installation into FOLDER; nothing that is there is replaced.

    The configuration explains every setting; what is chosen here is set in it. The keys can't be made again: keep a
    copy.
    """
    chosen: dict[Key, Any] = {
        ("server", "public_url"): public_url,
        ("server", "trusted_proxies"): int(public_url.startswith("https://")) if proxies is None else proxies,
        ("secrets", "keys_file"): _KEYS,
    }
    if data is not None:
        chosen["database", "embedded_path"] = str(data.resolve())
    config, keys = _write(folder, chosen)
    if as_json:
        print_json({"config": str(config), "keys": str(keys)})
        return
    print_facts({"configuration": config, "keys": keys})
    click.echo("Keep a copy of the keys elsewhere: without them a back-up can't be read in full.")
    click.echo(f"Next: seatbridge --config {config} doctor, then seatbridge --config {config} serve")


def _write(folder: Path, chosen: "dict[Key, Any]") -> tuple[Path, Path]:
    """Write both files, or none where one is there or what was chosen is no configuration.

    Raises:
        ConfigurationError: What was chosen can't be used; or the folder can't be written to.
        InvalidInputError: One of the files is there.
    """
    from bridge.config import load_settings
    from bridge.config.documents import generate_example
    from bridge.config.keys import ensure_keys_file
    from bridge.errors import ConfigurationError, InvalidInputError

    config, keys = folder / _CONFIG, folder / _KEYS
    for file in (config, keys):
        if file.exists():
            raise InvalidInputError("folder", f"{file} is there already: name another folder, or move it away")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with config.open("x", encoding="utf-8") as out:
            out.write(generate_example(chosen=chosen))
    except OSError as error:
        raise ConfigurationError([f"{config}: cannot be created ({error.strerror})"]) from None
    try:
        load_settings(config, environ={})
        ensure_keys_file(keys)
    except ConfigurationError:
        config.unlink()
        raise
    return config, keys
