"""Encoders that make themselves real-time: the process that used one must not stay so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def ordinary_priority() -> Iterator[None]:
    """Around whatever may open SVT-AV1.

    Where root opens it, it gives the calling thread SCHED_FIFO at the highest priority and leaves it there. All
    processes that a test starts afterwards inherit that: they starve each other, and a Go server spins for minutes.
    """
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)
