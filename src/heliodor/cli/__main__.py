"""`python -m heliodor.cli`."""

import sys

from heliodor.cli import main

sys.exit(main())
