"""Prepare the next inputs while the current ones are computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")


def prefetched(
    prepare: Callable[[Item], Prepared], items: Iterable[Item], *, depth: int
) -> Generator[Prepared, None, None]:
    """Yield ``prepare(item)`` for every item in order, up to `depth` of them made ahead by a thread.

    Examples
    --------
    >>> list(prefetched(abs, [-1, -2, -3], depth=2))
    [1, 2, 3]
    """
    if depth == 0:
        yield from map(prepare, items)
        return
    waiting: deque[Future[Prepared]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch") as thread:
        try:
            for item in items:
                waiting.append(thread.submit(prepare, item))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
