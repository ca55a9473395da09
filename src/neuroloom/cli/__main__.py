"""``python -m neuroloom.cli``."""

import sys

from neuroloom.cli.main import main

sys.exit(main())
