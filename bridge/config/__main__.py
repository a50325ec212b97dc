"""Print the generated documents: ``python -m bridge.config example`` or ``... reference``."""

import argparse
import sys

from bridge.config.documents import generate_example, generate_reference

_DOCUMENTS = {"example": generate_example, "reference": generate_reference}


def main() -> None:
    """Write the document that the one argument names to standard output."""
    parser = argparse.ArgumentParser(prog="python -m bridge.config")
    parser.add_argument("document", choices=sorted(_DOCUMENTS))
    document = parser.parse_args().document
    sys.stdout.write(_DOCUMENTS[document]())


if __name__ == "__main__":
    main()
