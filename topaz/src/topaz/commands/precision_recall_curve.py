"""`topaz precision_recall_curve`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("precision_recall_curve", sys.argv[1:]))
