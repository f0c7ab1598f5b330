"""X5: random kills, the short form of make torture."""
import os
import random

import pytest

from torture import run


@pytest.mark.parametrize("durability,workers,what", [
    ("redis", 1, "statweir,redis,both,term"),
    ("redis", 2, "worker,statweir,redis,both"),
    ("journal", 1, "statweir,redis,both,term"),
    ("journal", 2, "worker,statweir,redis,both")])
def test_X5_random_kills_the_books_stay_exact(durability, workers, what):
    seed = int(os.environ.get("TORTURE_SEED", random.SystemRandom().randrange(1 << 32)))
    books = run(12, seed, workers=workers, what=what.split(","),
                settings={"redis.durability": durability})
    assert books.sent == 1200 and sum(books.ever.values()) > 0


def test_X17_random_kills_and_redis_loses_its_last_writes():
    seed = int(os.environ.get("TORTURE_SEED", random.SystemRandom().randrange(1 << 32)))
    books = run(12, seed, what=["redis", "both", "statweir"], loses_tail=True,
                settings={"redis.durability": "journal", "rollup.settle_wait": "2s"})
    assert books.sent == 1200
