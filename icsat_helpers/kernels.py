"""The kernels that notebooks run in: ordinary ones, of this very interpreter."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Kernels:
    """The kernels of one run: ordinary ones of this very interpreter, each stoppable from another thread.

    Parameters
    ----------
    folder : Path
        Where kernels start: the project's root.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # IPython's folder too, so that nobody's profile plays a part; short, for socket names must be.
        self._home = tempfile.TemporaryDirectory(prefix="icsat-", ignore_cleanup_errors=True)
        self.stopped = threading.Event()
        self._running: dict[str, Any] = {}
        self._numbers = itertools.count()
        self._environment = {
            **dict.fromkeys(_THREADS, "1"),
            "IPYTHONDIR": self._home.name,
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }

    def manager(self, name: str) -> type:
        """Return the kernel manager class for the notebook ``name``; nbclient makes and owns the instance."""
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import AsyncKernelManager

        kernels = self

        class Manager(AsyncKernelManager):
            # Sockets in a private folder rather than ports that any user of the machine can reach.
            transport = "tcp" if sys.platform == "win32" else "ipc"

            def start_kernel(self, **options: Any) -> Any:
                if kernels.stopped.is_set():
                    raise RuntimeError("the run was stopped")
                # Not an installed kernelspec: a user's own `python3` may be another Python.
                command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
                self._kernel_spec = KernelSpec(argv=command, language="python", display_name="Python 3")
                self.connection_file = os.path.join(kernels._home.name, f"{next(kernels._numbers)}.json")
                kernels._running[name] = self
                return super().start_kernel(**options, env=os.environ | kernels._environment)

        return Manager

    def stop(self, name: str) -> None:
        """Kill the kernel of one notebook; papermill notices within a second."""
        process = getattr(getattr(self._running.get(name), "provisioner", None), "process", None)
        if process is not None:
            process.kill()

    def stop_all(self) -> None:
        """Kill every kernel and let no other start."""
        self.stopped.set()
        for name in list(self._running):
            self.stop(name)

    def close(self) -> None:
        """Kill every kernel and remove what they shared."""
        self.stop_all()
        self._home.cleanup()
