"""`topaz denoise`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("denoise", sys.argv[1:]))
