"""engine.collector"""

import gc
from collections.abc import Iterator

import pytest

from engine.collector import tune_gc


@pytest.fixture(autouse=True)
def _collector_as_before() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


def test_what_exists_at_the_start_is_not_looked_at_again() -> None:
    frozen = gc.get_freeze_count()
    tune_gc()
    assert gc.get_freeze_count() > frozen
    assert gc.isenabled()


def test_what_a_mistake_leaves_behind_is_still_found() -> None:
    tune_gc()

    class Node:
        def __init__(self) -> None:
            self.me = self

    for _ in range(100):
        Node()
    assert gc.collect() >= 100
