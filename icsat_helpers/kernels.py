"""The kernels of one run: this very interpreter, forked where the system can, and nothing of any user's profile."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from icsat_helpers.forkserver import Server

_ENVIRONMENT = {
    # Notebooks run side by side: one thread each, in forked and ordinary kernels alike.
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    # As ipykernel does, but before a fork too: else figures would vanish.
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    # The same run leaves the same bytes.
    "PYTHONHASHSEED": "0",
    "SOURCE_DATE_EPOCH": "0",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
_LATE = (  # what notebooks need and libraries import only when it is first used
    "IPython.core.display_functions", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg",
    "matplotlib.pyplot", "pyarrow.feather", "pyarrow.pandas_compat", "statsmodels.formula.api", "zmq.utils.garbage",
)  # fmt: skip

_LOOK_SECONDS = 1.0
_GLANCE_SECONDS = 0.02
_NEEDED = ("jupyter_client.manager", "jupyter_client.provisioning", "nbformat", "papermill")


def forking() -> bool:
    """Return whether kernels are forked here: on Linux, unless ICSAT_FORK is 0."""
    return hasattr(os, "pidfd_open") and os.environ.get("ICSAT_FORK") != "0"


def modules(imported: Iterable[str]) -> list[str]:
    """Return what to import before a fork: what notebooks import, and what libraries import only when it is used."""
    return [*dict.fromkeys([*_LATE, *imported])]


class Kernels:
    """Kernels that start in `folder`, their files in a private one; `imported`: modules that notebooks import."""

    def __init__(self, folder: Path, imported: Iterable[str] = ()) -> None:
        self.folder = folder
        # IPython's folder too, so that nobody's profile plays a part; short, for socket names must be.
        self._home = tempfile.TemporaryDirectory(prefix="icsat-", ignore_cleanup_errors=True)
        (Path(self._home.name) / "matplotlibrc").write_text("svg.hashsalt: icsat\n")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith("JPY_")}
        self._environment |= _ENVIRONMENT | {"IPYTHONDIR": self._home.name, "MATPLOTLIBRC": self._home.name}
        self._numbers = itertools.count()
        self._running: list[Any] = []
        self._stopped = threading.Event()
        self.server = Server(folder, self._home.name, self._environment, modules(imported)) if forking() else None
        for late in _NEEDED:  # here, for imports by several threads at once can block each other
            importlib.import_module(late)

    def wait(self, imported: Iterable[str] = ()) -> None:
        """Wait until a kernel can start: what all share is imported once, on nobody's time."""
        if self.server:
            self.server.wait(modules(imported))

    def manager(
        self, deadline: float, environment: Mapping[str, str], wanted: Callable[[], bool] = lambda: True
    ) -> type:
        """Return the kernel manager class that papermill hands on to nbclient.

        A kernel is killed after `deadline`, in monotonic time, or as soon as it is not `wanted` any more.
        """
        from jupyter_client.asynchronous import AsyncKernelClient
        from jupyter_client.channels import AsyncZMQSocketChannel
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager
        from jupyter_client.provisioning import LocalProvisioner
        from traitlets import Type

        kernels = self

        class Forked(LocalProvisioner):
            async def launch_kernel(self, cmd: list[str], **options: Any) -> Any:
                assert kernels.server
                fork = kernels.server.fork(cmd, options["env"], options["cwd"])
                self.process, self.pid, self.pgid = fork, fork.pid, fork.pid  # type: ignore[assignment]
                return self.connection_info

        class Prompt(AsyncZMQSocketChannel):
            """Looks whether a message is left for hundredths of a second, not for fifths."""

            async def get_msg(self, timeout: float | None = None) -> Any:  # type: ignore[override]
                return await super().get_msg(_GLANCE_SECONDS if timeout == 0.2 else timeout)

        class Client(AsyncKernelClient):
            iopub_channel_class = Type(Prompt)

        class Manager(AsyncKernelManager):
            # Sockets in a private folder rather than ports that any user of the machine can reach.
            transport = "tcp" if sys.platform == "win32" else "ipc"
            client_factory = Type(Client)

            async def start_kernel(self, **options: Any) -> None:  # type: ignore[override]
                # Not an installed kernelspec: a user's own `python3` may be another Python.
                command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
                self._kernel_spec = KernelSpec(argv=command, language="python", display_name="Python 3")
                self.connection_file = os.path.join(kernels._home.name, f"{next(kernels._numbers)}.json")
                if kernels.server:
                    self.provisioner = Forked(kernel_id=self.kernel_id, kernel_spec=self._kernel_spec, parent=self)
                await super().start_kernel(**options, env={**kernels._environment, **environment})
                process = self.provisioner.process  # type: ignore[union-attr]
                self._watch(process)
                kernels._running.append(process)
                if kernels._stopped.is_set():
                    _end(process)

            async def _async_interrupt_kernel(self, restart: bool = False) -> None:
                """Do nothing: it comes just before a kernel is killed, which might say that it was interrupted."""

            async def _async_wait(self, pollinterval: float = _GLANCE_SECONDS) -> None:
                await super()._async_wait(pollinterval)

            def _watch(self, process: Any) -> None:
                left = deadline - time.monotonic()
                if left <= 0 or not wanted():
                    _end(process)
                elif process.poll() is None:
                    asyncio.get_running_loop().call_later(min(left, _LOOK_SECONDS), self._watch, process)

        return Manager

    def stop(self) -> None:
        """Kill every kernel, those too that are only starting; papermill notices within a second."""
        self._stopped.set()
        for process in self._running:
            _end(process)

    def close(self) -> None:
        """Kill every kernel and remove what they shared."""
        self.stop()
        if self.server:
            self.server.close()
        self._home.cleanup()


def _end(process: Any) -> None:
    """Kill a kernel and what it has started, if it lives."""
    if process.poll() is None:
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
