"""Where notebooks run: the cores of this machine, or the workers of a dask.distributed cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any

from icsat_helpers import fingerprints
from icsat_helpers.execution import Outcome, execute, failed
from icsat_helpers.kernels import Kernels
from icsat_helpers.parameters import Notebook, RequestError
from icsat_helpers.plans import Plan
from icsat_helpers.project import ROOT

_CONNECT_SECONDS = 20


class Machine:
    """The cores of this machine: `jobs` notebooks at a time, in kernels that `imported` is imported for."""

    def __init__(self, jobs: int, imported: Iterable[str]) -> None:
        self.room = jobs
        self._executor = ThreadPoolExecutor(jobs)
        self._imported = imported
        self._kernels: Kernels | None = None

    def start(self) -> Kernels:
        """Start to import what the notebooks need, if that has not begun."""
        self._kernels = self._kernels or Kernels(ROOT, self._imported)
        return self._kernels

    def spare(self, left: int) -> bool:
        """Return whether a plan with so many notebooks left does not need every core."""
        return left < self.room

    def submit(self, notebook: Notebook, plan: Plan) -> Future[Outcome]:
        """Run a notebook as soon as there is room."""
        return self._executor.submit(execute, notebook, plan, self.start())

    def call(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """Call a function of the runner's as soon as there is room."""
        return self._executor.submit(function, *given)

    def close(self) -> None:
        """Kill what still runs, for nobody waits for it any more."""
        if self._kernels:
            self._kernels.stop()  # else the executor would wait for it
        self._executor.shutdown(cancel_futures=True)
        if self._kernels:
            self._kernels.close()


class Cluster:
    """The workers of a dask scheduler; each needs this project, the study and the output folder where we have them.

    Raises
    ------
    RequestError
        If there is no scheduler, or it has no worker.
    """

    def __init__(self, address: str, imported: Iterable[str]) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise RequestError("--scheduler needs dask: install the extra `cluster`.") from None
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
            self._client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError, TimeoutError) as error:
            raise RequestError(f"--scheduler {address}: no worker answers there ({type(error).__name__}).") from None
        self._executor: Executor = self._client.get_executor(
            pure=False
        )  # the scheduler itself retries what a dying worker had
        self._imported = tuple(imported)
        self._own = ThreadPoolExecutor(os.cpu_count())

    def start(self) -> None:
        """Do nothing: workers start with their first notebook."""

    @property
    def room(self) -> int:
        """How many notebooks to have under way: twice what workers do at once, so that none waits for the next."""
        try:
            return max(1, 2 * sum(self._client.nthreads().values()))
        except OSError:  # the scheduler is gone: each notebook will say so
            return 1

    def spare(self, left: int) -> bool:
        """Return whether the last notebook is running: until then the runner's own machine has nothing to prepare."""
        return left <= 1

    def submit(self, notebook: Notebook, plan: Plan) -> Future[Outcome]:
        """Run a notebook on any worker; on another one if that worker dies."""
        return self._executor.submit(_on_worker, notebook, plan, self._imported, _code())

    def call(self, function: Callable[..., Any], *given: Any) -> Future[Any]:
        """Call a function of the runner's on its own machine, beside what the workers do."""
        return self._own.submit(function, *given)

    def close(self) -> None:
        """Take back what has not started."""
        self._own.shutdown(cancel_futures=True)
        self._executor.shutdown(wait=False)
        self._client.close()


def outcome(future: Future[Outcome], name: str) -> Outcome:
    """Return how a notebook ended, also where nobody was left to run it."""
    try:
        return future.result()
    except CancelledError:
        return failed(name, "Cancelled", "the scheduler is gone")
    except Exception as error:  # noqa: BLE001 - whatever a worker dies of is this notebook's failure, not the run's
        return failed(name, type(error).__name__, str(error))


def _code() -> str:
    return fingerprints.of([fingerprints.helpers(), fingerprints.packages()])


_KERNELS: dict[tuple[str, ...], Kernels] = {}  # of a worker process; they end with it
_LOCK = threading.Lock()


def _on_worker(notebook: Notebook, plan: Plan, imported: tuple[str, ...], code: str) -> Outcome:
    from distributed import get_worker

    if code != _code():
        return failed(notebook.name, "OtherVersion", "the worker has other helper code or library versions")
    with _LOCK:
        kernels = _KERNELS.get(imported) or _KERNELS.setdefault(imported, Kernels(ROOT, imported))
    worker, key = get_worker(), get_worker().get_current_task()

    def wanted() -> bool:  # no more when the runner is gone, or was told to stop
        return getattr(worker.state.tasks.get(key), "state", "") == "executing"

    return execute(notebook, plan, kernels, wanted)


def open_workers(address: str, jobs: int, imported: Iterable[str]) -> Any:
    """Return where the notebooks of a run will run."""
    return Cluster(address, imported) if address else Machine(jobs, imported)
