"""`python -m heliodor.cli.topaz`."""

import sys

from heliodor.cli.topaz import main

sys.exit(main())
