"""Kernels forked from one process that has imported what notebooks need: each is ready in tenths of a second.

Linux only. The runner asks the server (``python -m icsat_helpers.forkserver``) for kernels over a socket. The server
imports what is asked for at once, and the rest while nobody asks, so that the first kernels need not wait for what only
the last ones use. When the runner is gone, however it ended, the server kills them and ends, and when the server is
gone the system kills them.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Fork:
    """A forked kernel, with as much of `subprocess.Popen` as jupyter_client asks for."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._fd: int | None = None
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            self._fd = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return None while it lives."""
        if self._fd is not None and select.select([self._fd], [], [], 0)[0]:
            os.close(self._fd)
            self._fd = None
        return None if self._fd is not None else 0

    def wait(self) -> int:
        """Wait for its end; only the server, whose child it is, would know the exit code."""
        if self._fd is not None:
            select.select([self._fd], [], [])
        return self.poll() or 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, to it alone, if it lives."""
        if self.poll() is None and self._fd is not None:
            signal.pidfd_send_signal(self._fd, number)


class Server:
    """The process that kernels are forked from; it starts to import `modules` (``module`` or ``module:name``) at once.

    `environment` is what kernels will have, `home` a folder to remove when the runner has ended.
    """

    def __init__(self, folder: Path, home: str, environment: Mapping[str, str], modules: Sequence[str]) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "icsat_helpers.forkserver", str(theirs.fileno()), home, *modules],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
                start_new_session=True,
            )  # fmt: skip
        self._answers = self._socket.makefile("r", encoding="ascii")
        self._lock = threading.Lock()

    def wait(self, modules: Sequence[str]) -> None:
        """Wait until `modules` are imported."""
        self._ask({"modules": list(modules)})

    def fork(self, command: Sequence[str], environment: Mapping[str, str], folder: str) -> Fork:
        """Return a new kernel, the leader of its own process group."""
        order = {"command": list(command), "environment": dict(environment), "folder": str(folder)}
        return Fork(int(self._ask(order)))

    def _ask(self, order: Mapping[str, Any]) -> str:
        with self._lock, contextlib.suppress(OSError):  # nor is there an answer where nobody hears
            self._socket.sendall(json.dumps(order).encode() + b"\n")
            if answer := self._answers.readline():
                return answer
        raise RuntimeError("the process that kernels are forked from has ended; ICSAT_FORK=0 does without it")

    def close(self) -> None:
        """End it and every kernel."""
        self._answers.close()
        self._socket.close()
        self._process.wait()


def _serve(control: socket.socket, home: str, modules: Sequence[str]) -> dict[str, Any] | None:
    """Import, and fork a kernel for each order; return the order in the kernel, None in the server at the end."""
    server = os.getpid()
    children: set[int] = set()
    left = list(modules)
    with contextlib.suppress(OSError), control.makefile("rb") as orders:  # the runner may be gone already
        while True:
            while left and not select.select([control], [], [], 0)[0]:
                _import(left.pop(0))
            line = orders.readline()
            if not line:
                break
            order = json.loads(line)
            if "modules" in order:
                for module in order["modules"]:
                    _import(module)
                control.sendall(b"imported\n")
                continue
            while children and (ended := os.waitpid(-1, os.WNOHANG)[0]):
                children.discard(ended)
            gc.freeze()  # what is imported stays shared between the kernels
            child = os.fork()
            if not child:
                os.setsid()
                ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
                if os.getppid() != server:  # it died in the meantime
                    os._exit(1)
                control.sendall(b"%d\n" % os.getpid())
                control.close()
                return dict(order)
            children.add(child)
    for child in children:  # not waited for, so none of these numbers can be another process by now
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)
    shutil.rmtree(home, ignore_errors=True)
    return None


def _import(module: str) -> None:
    """Import a module, or of `module:name` the name too, which some import only when it is asked for."""
    with warnings.catch_warnings(), contextlib.suppress(Exception):  # whoever needs it will be told
        warnings.simplefilter("ignore")  # a kernel starts with the filters of a fresh one
        name, _, part = module.partition(":")
        getattr(importlib.import_module(name), part or "__name__")


def _be_kernel(order: Mapping[str, Any], imported: Mapping[str, str]) -> None:
    """Be what ``python -m ipykernel_launcher`` would be in this environment and folder.

    `imported` is the environment that what is imported already would have set.
    """
    from ipykernel.kernelapp import IPKernelApp

    gc.enable()
    del sys.path[0]  # the folder the server was started in; ipykernel's launcher does the same
    os.environ.clear()
    os.environ.update({**order["environment"], **imported}, JPY_PARENT_PID=str(os.getppid()))
    os.chdir(order["folder"])
    launcher = importlib.util.find_spec("ipykernel_launcher")
    sys.argv = [str(launcher and launcher.origin), *order["command"][3:]]
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # `random` does so by itself after a fork
    app = IPKernelApp.instance(parent_handle=os.getppid())
    app.initialize(sys.argv[1:])
    app.start()


def main(fd: str, home: str, *modules: str) -> None:
    """Import and serve; a child returns here to be a kernel, and so ends as any interpreter does."""
    gc.disable()  # nothing that is imported is garbage
    before = dict(os.environ)
    importlib.import_module("ipykernel.kernelapp")
    importlib.import_module("ipykernel.debugger")  # as each kernel does when it starts; it sets some of the environment
    imported = {name: value for name, value in os.environ.items() if before.get(name) != value}
    order = _serve(socket.socket(fileno=int(fd)), home, modules)
    if order is not None:
        _be_kernel(order, imported)


if __name__ == "__main__":
    main(*sys.argv[1:])
