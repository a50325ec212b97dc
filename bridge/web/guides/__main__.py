"""``python -m bridge.web.guides okta > docs/how-to/connect-okta.md``."""

import sys

from bridge.web.guides import GUIDES
from bridge.web.guides.writing import as_markdown

if __name__ == "__main__":
    sys.stdout.write(as_markdown(GUIDES[sys.argv[1]]))
