"""``python -m seqattn.cli`` is the command ``seqattn``."""

import sys

from seqattn.cli import main

sys.exit(main())
