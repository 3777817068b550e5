"""`topaz coordinates_to_eman2_json`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("coordinates_to_eman2_json", sys.argv[1:]))
