"""`topaz preprocess`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("preprocess", sys.argv[1:]))
