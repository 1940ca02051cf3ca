from __future__ import annotations

import threading
import time
import weakref

import pytest

from unlearn.parallel import go_on, in_chunks


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_chunks_come_in_order_and_cover_every_run_once(threads):
    def work(first, count):
        time.sleep(0.002 * (first % 3))
        return list(range(first, first + count))

    found = [run for part in in_chunks(work, 23, chunk=4, threads=threads) for run in part]
    assert found == list(range(23))
    assert max(map(len, in_chunks(work, 10, chunk=100, threads=threads))) == -(-10 // threads)
    assert list(map(len, in_chunks(work, 10, chunk=100, least=10, threads=threads))) == [10]


def test_work_goes_on_side_by_side_and_ends_when_it_fails():
    both, begun = threading.Barrier(2, timeout=10), []

    def meet(first, count):
        both.wait()
        return count

    assert sum(in_chunks(meet, 2, chunk=1, threads=2)) == 2

    def fail(first, count):
        begun.append(first)
        time.sleep(0.01)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_chunks(fail, 1000, chunk=1, threads=2))
    assert len(begun) < 20


def test_a_long_chunk_that_nobody_waits_for_ends_where_it_asks():
    asked = threading.Event()

    def work(first, count):
        while first:  # but for the first chunk, it would never end
            go_on()
            asked.set()
        return first

    go_on()  # outside of any work it says nothing
    parts = in_chunks(work, 3, chunk=1, threads=2)
    assert next(parts) == 0 and asked.wait(10)
    parts.close()  # as an interrupt does
    assert list(in_chunks(lambda first, count: go_on(), 4, chunk=1, threads=2)) == [None] * 4  # nor in later work


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_are_held_until_they_are_taken_and_a_few_ahead(threads):
    class Result:
        """What can be watched."""

    held: weakref.WeakSet[Result] = weakref.WeakSet()
    lock, most = threading.Lock(), 0

    def work(first, count):
        with lock:
            held.add(result := Result())
        return result

    for _ in in_chunks(work, 400, chunk=1, threads=threads):
        time.sleep(0.0005)  # the others could be done long before
        most = max(most, len(held))
    assert 0 < most <= 4 * threads + 1
