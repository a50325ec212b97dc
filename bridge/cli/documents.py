"""Reading the documents that commands take."""

import sys
from pathlib import Path
from typing import Any

from bridge.errors import InvalidInputError


def load_document(file: Path, *, as_texts: bool = False) -> Any:
    """Read a YAML or JSON document; ``-`` is standard input.

    Args:
        file: Where it is.
        as_texts: Take every value as it is written, so that Norway's NO is no "false" and 0150 no number.

    Raises:
        InvalidInputError: It cannot be read or is neither.
    """
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return yaml.load(text, Loader=yaml.BaseLoader if as_texts else yaml.SafeLoader)  # noqa: S506 (makes texts only)
    except OSError as error:
        raise InvalidInputError("file", f"{file} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())
        raise InvalidInputError("file", f"{file} is neither YAML nor JSON: {first}") from None
