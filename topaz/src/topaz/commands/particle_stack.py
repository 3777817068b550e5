"""`topaz particle_stack`."""

import sys

from heliodor.cli.topaz import run

if __name__ == "__main__":
    sys.exit(run("particle_stack", sys.argv[1:]))
