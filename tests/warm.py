"""Pythons that need not import PyTorch: forks of one that has, as whole as a process of their own.

To import it takes seconds, most of what a small program costs. The host has imported what others
wrote and nothing of the project, which a program imports itself; it has no threads, so that its
forks can't hang; and a fork ends as any interpreter does, with all that is said and flushed then.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

HOST = """
import gc, importlib, io, json, os, socket, sys
import optuna, pandas, scipy.stats, sqlalchemy, torch
torch.set_num_threads(1)
importlib.import_module("optuna.storages")
gc.freeze()  # else each fork, as it ends, would copy and look through all of that

def stream(number, errors):
    # As an interpreter makes them when it starts: one that the caller has closed is None.
    try:
        os.fstat(number)
    except OSError:
        return None
    raw = open(number, "wb", -1, closefd=False)
    encoding = os.environ.get("PYTHONIOENCODING", "utf-8")
    return io.TextIOWrapper(raw, encoding, errors, line_buffering=number == 2)

here, program = socket.socket(fileno=int(sys.argv[1])), None
while program is None:
    size, fds, *_ = socket.recv_fds(here, 8, 3, socket.MSG_WAITALL)
    if not size:
        os._exit(0)
    asked = json.loads(here.recv(int.from_bytes(size), socket.MSG_WAITALL))
    child = os.fork()
    if child:
        for fd in fds:
            os.close(fd)
        here.sendall(os.waitpid(child, 0)[1].to_bytes(8))
        continue
    here.close()
    for number in (1, 2):
        os.close(number)
        if str(number) in asked["streams"]:
            os.dup2(fds[asked["streams"].index(str(number))], number)
    for fd in fds:
        os.close(fd)
    os.environ.clear()
    os.environ.update(asked["environment"])
    os.chdir(asked["folder"])
    sys.stdout = sys.__stdout__ = stream(1, "strict")
    sys.stderr = sys.__stderr__ = stream(2, "backslashreplace")
    sys.path[1:1] = asked["path"]
    sys.argv, program = asked["arguments"], asked["program"]
importlib.invalidate_caches()
del here
exec(program)
"""


class Warm:
    """A host, and what it is asked to run."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-c", HOST, str(theirs.fileno())]
            # Else pyarrow, which pandas imports, has a thread.
            environment = {**os.environ, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
            self.host = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment)

    def close(self) -> None:
        self.ours.close()
        self.host.wait()

    def run(
        self,
        program: str,
        *arguments: object,
        folder: str | Path = ".",
        path: Sequence[str | Path] = (),
        environment: Mapping[str, str] | None = None,
        stdout: int | None = None,
        closed: bool = False,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program as `python -c` does, and return its exit code and what it printed.

        `path` is searched before the installed packages, `environment` is put over this process's,
        and its output goes to the descriptor `stdout`, or to none if that is `closed`.
        """
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            streams, fds = ("2", [err.fileno()]) if closed else ("12", [stdout, err.fileno()])
            if stdout is None and not closed:
                fds[0] = out.fileno()
            asked = json.dumps(
                {
                    "program": program,
                    "arguments": ["-c", *map(str, arguments)],
                    "folder": str(Path(folder).resolve()),
                    "path": list(map(str, path)),
                    "environment": {**os.environ, **(environment or {})},
                    "streams": streams,
                }
            ).encode()
            socket.send_fds(self.ours, [len(asked).to_bytes(8)], fds)
            self.ours.sendall(asked)
            status = self.ours.recv(8, socket.MSG_WAITALL)
            code = os.waitstatus_to_exitcode(int.from_bytes(status))
            said = []
            for file in (out, err):
                file.seek(0)
                said.append(file.read())
        return subprocess.CompletedProcess([program, *arguments], code, *said)
