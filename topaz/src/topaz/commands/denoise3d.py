"""`topaz denoise3d`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("denoise3d", sys.argv[1:]))
