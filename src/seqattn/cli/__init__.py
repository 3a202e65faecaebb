"""The one command line, ``seqattn``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from seqattn.cli.arguments import parser
from seqattn.cli.verbs import RUN
from seqattn.errors import SeqattnError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 if `check` found problems, 2 after an error, 130 on Ctrl-C."""
    options = parser().parse_args(arguments)
    try:
        code = RUN[options.verb](options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough of it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("seqattn: interrupted; finished runs and trials are kept", file=sys.stderr)
        return 130
