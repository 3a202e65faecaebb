"""``python -m seqattn`` is the command ``seqattn``."""

import sys

from seqattn.cli import main

sys.exit(main())
