"""`topaz train_test_split`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("train_test_split", sys.argv[1:]))
