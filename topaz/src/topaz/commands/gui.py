"""`topaz gui`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("gui", sys.argv[1:]))
