"""The one command line, ``seqattn``."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from seqattn.cli.arguments import parser
from seqattn.cli.verbs import RUN
from seqattn.errors import SeqattnError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 if `check` found problems, 2 after an error, 130 on Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ± still shows the rest
            stream.reconfigure(errors="replace")
    options = parser().parse_args(arguments)
    try:
        code = RUN[options.verb](options) or 0
        if sys.stdout is not None:  # it is where the shell has closed it
            sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read our output, such as `head`, has enough of it
        _to_nowhere()
        return 0
    except OSError as error:
        _to_nowhere()
        print(f"seqattn: {error.filename or 'output'}: {error.strerror}", file=sys.stderr)
        return 2
    except SeqattnError as error:
        print(f"seqattn: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("seqattn: interrupted; finished runs and trials are kept", file=sys.stderr)
        return 130


def _to_nowhere() -> None:
    """Let what is still to be printed go: at exit Python would complain once more."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
