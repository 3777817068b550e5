"""`topaz train`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("train", sys.argv[1:]))
