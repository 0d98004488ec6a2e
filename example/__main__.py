"""`python -m example`."""

import sys

from example.cli import main

sys.exit(main())
