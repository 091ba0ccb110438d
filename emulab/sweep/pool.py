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

    def _start(self) -> Any:
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        return ProcessPoolExecutor(
            self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_ignore_interrupt
        )

    def map(self, chunks: Sequence[Chunk]) -> Iterator[list[tuple[str, Row]]]:
        from concurrent.futures import FIRST_COMPLETED, wait
        from concurrent.futures.process import BrokenProcessPool

        waiting = list(reversed(chunks))
        attempts: dict[str, int] = {}
        while waiting:
            self._executor = self._start()
            running: dict[Any, Chunk] = {}
            try:
                while waiting or running:
                    while waiting and len(running) < 2 * self.workers:
                        chunk = waiting.pop()
                        running[self._executor.submit(evaluate_chunk, chunk)] = chunk
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        rows = future.result()
                        del running[future]
                        yield rows
            except BrokenProcessPool:
                # Some worker died. Which chunk it held is not told: all that ran are given out again, singly,
                # so that a variant that kills its worker stands alone the next time.
                self._executor.shutdown(wait=True, cancel_futures=True)
                for chunk in running.values():
                    for task in chunk:
                        attempts[task.key] = attempts.get(task.key, 0) + 1
                        if attempts[task.key] > MAX_ATTEMPTS:
                            yield [(task.key, _gave_up(task))]
                        else:
                            waiting.append([task])
                continue
            finally:
                if self._executor is not None:
                    self._executor.shutdown(wait=False, cancel_futures=True)
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
