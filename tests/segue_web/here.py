"""A page's server and the worker behind it as threads: most tests of pages do not ask where they run."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ClassVar

from segue_web.server.kit import LocalServer
from segue_web.server.worker import Tools, Worker


class ServerHere(LocalServer):
    """Serves in a thread, so that the command that runs it comes back."""

    running: ClassVar[list[ServerHere]] = []

    def run(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.running.append(self)
            self.start()
        else:
            super().run()


class ThreadPool(ThreadPoolExecutor):
    """A pool without processes."""

    _processes: ClassVar[dict[int, Any]] = {}


class WorkerHere(Worker):
    """Computes in a thread."""

    def _new_pool(self) -> Any:
        self._tools = Tools(*self._arguments)
        return ThreadPool(1)

    def submit(self, method: str, *arguments: Any) -> Future[Any]:
        return self._pool.submit(getattr(self._tools, method), *arguments)
