"""The one command line, ``seqattn``."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading

from seqattn.errors import SeqattnError

TYPE_CHECKING = False  # that of `typing`, which takes time to import: Ctrl-C may come
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, 1 if `check` found problems, 2 after an error, 130 on Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ± still shows the rest
            stream.reconfigure(errors="replace")
    try:
        verbs = _verbs()
        from seqattn.cli.arguments import parser  # it imports what the verbs do

        options = parser().parse_args(arguments)
        code = getattr(verbs, f"_{options.verb}")(options) or 0
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
    except ModuleNotFoundError as error:
        package = (error.name or "seqattn").partition(".")[0]
        if package == "seqattn":
            raise
        told = "this command needs the extra `book`: pip install -e '.[book]'"
        print(f"seqattn: {package} is not installed; {told}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return _interrupted()


def _verbs() -> ModuleType:
    """Import what the verbs do, PyTorch and all, for seconds in which Ctrl-C may come.

    It ends the program there and then: NumPy makes an ImportError of a KeyboardInterrupt.
    """
    before = signal.getsignal(signal.SIGINT)
    ours = before is signal.default_int_handler
    ours = ours and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_interrupted()))
    try:
        from seqattn.cli import verbs
    finally:
        if ours:
            signal.signal(signal.SIGINT, before)
    return verbs


def _interrupted() -> int:
    """Say that Ctrl-C came; return the exit code."""
    told = "seqattn: interrupted; finished runs and trials are kept"
    print(told, file=sys.stderr, flush=True)
    return 130


def _to_nowhere() -> None:
    """Let what is still to be printed go: at exit Python would complain once more."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
