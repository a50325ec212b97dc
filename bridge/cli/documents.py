"""Reading the documents that commands take."""

import sys
from pathlib import Path
from typing import Any

from bridge.errors import InvalidInputError


def load_document(file: Path) -> Any:
    """Read a YAML or JSON document; ``-`` is standard input.

    Raises:
        InvalidInputError: It cannot be read or is neither.
    """
    import yaml

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        return yaml.safe_load(text)
    except OSError as error:
        raise InvalidInputError("file", f"{file} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())
        raise InvalidInputError("file", f"{file} is neither YAML nor JSON: {first}") from None
