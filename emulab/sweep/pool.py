"""Where chunks of a sweep are evaluated: this process, local worker processes, or a Dask cluster.

All three give the same rows; only the order in which they come differs. A worker that dies takes nothing with it but
the chunks it held, and those are given out again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from emulab.errors import InputError, ToolError
from emulab.sweep.point import Row, Task, evaluate_chunk

Chunk = list[Task]
MAX_ATTEMPTS = 3


class Pool(Protocol):
    """Evaluates chunks, in whatever order they finish."""

    def map(self, chunks: Sequence[Chunk]) -> Iterator[list[tuple[str, Row]]]: ...

    def close(self) -> None: ...


class SerialPool:
    """In this process."""

    def map(self, chunks: Sequence[Chunk]) -> Iterator[list[tuple[str, Row]]]:
        for chunk in chunks:
            yield evaluate_chunk(chunk)

    def close(self) -> None:
        return None


def _ignore_interrupt() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


class LocalPool:
    """Worker processes on this machine (spawned, so that nothing is shared by accident)."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor: Any = None

    def _start(self, workers: int) -> Any:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        self._executor = ProcessPoolExecutor(
            workers, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupt
        )
        return self._executor

    def map(self, chunks: Sequence[Chunk]) -> Iterator[list[tuple[str, Row]]]:
        from concurrent.futures import FIRST_COMPLETED, wait
        from concurrent.futures.process import BrokenProcessPool

        waiting = list(reversed(chunks))
        try:
            while waiting:
                executor = self._start(self.workers)
                running: dict[Any, Chunk] = {}
                try:
                    while waiting or running:
                        while waiting and len(running) < 2 * self.workers:
                            chunk = waiting.pop()
                            running[executor.submit(evaluate_chunk, chunk)] = chunk
                        done, _ = wait(running, return_when=FIRST_COMPLETED)
                        for future in done:
                            rows = future.result()
                            del running[future]
                            yield rows
                except BrokenProcessPool:
                    # Some worker died, and which chunk it held is not told: each task that ran is a suspect.
                    self.close()
                    yield from self._one_by_one([task for chunk in running.values() for task in chunk])
                else:
                    self.close()
        finally:
            if self._executor is not None:
                self._executor.shutdown(wait=False, cancel_futures=True)
                self._executor = None

    def _one_by_one(self, suspects: Sequence[Task]) -> Iterator[list[tuple[str, Row]]]:
        """Evaluate tasks alone in a worker, so that one that kills it is known; it is given up after some tries."""
        from concurrent.futures.process import BrokenProcessPool

        for task in suspects:
            for attempt in range(1, MAX_ATTEMPTS + 1):
                executor = self._executor or self._start(1)
                try:
                    yield executor.submit(evaluate_chunk, [task]).result()
                    break
                except BrokenProcessPool:
                    self.close()
                    if attempt == MAX_ATTEMPTS:
                        yield [(task.key, _gave_up(task))]
        self.close()

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None


def _gave_up(task: Task) -> Row:
    return {
        "variant": task.variant,
        "results": [],
        "status": "error",
        "message": f"its worker process died {MAX_ATTEMPTS} times",
        "retry": True,
    }


class DaskPool:
    """A Dask cluster reached at ``tcp://host:port`` (extra ``distributed``)."""

    def __init__(self, address: str, timeout_s: float = 30.0) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise ToolError("--cluster needs Dask; install it with: pip install 'emulab[distributed]'") from None
        try:
            self._client: Any = Client(address, timeout=timeout_s, set_as_default=False)
        except (OSError, TimeoutError) as error:
            raise ToolError(f"--cluster {address}: no scheduler answers there ({error})") from None
        except ValueError as error:
            raise InputError(f"--cluster {address}: {error}; expected tcp://host:port") from None

    def map(self, chunks: Sequence[Chunk]) -> Iterator[list[tuple[str, Row]]]:
        from distributed import as_completed

        futures = self._client.map(evaluate_chunk, list(chunks), pure=False, retries=MAX_ATTEMPTS)
        for _, rows in as_completed(futures, with_results=True, loop=self._client.loop):
            yield rows

    def close(self) -> None:
        self._client.close()


def make_pool(workers: int, cluster: str | None) -> Pool:
    """The pool that the options ask for."""
    if cluster:
        return DaskPool(cluster)
    return SerialPool() if workers <= 1 else LocalPool(workers)
