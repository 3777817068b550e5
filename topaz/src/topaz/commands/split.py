"""`topaz split`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("split", sys.argv[1:]))
