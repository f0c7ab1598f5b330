"""X5: random kills, the short form of make torture."""
import os
import random

import pytest

from torture import run


@pytest.mark.parametrize("workers,what", [(1, "statweir,redis,both,term"),
                                          (2, "worker,statweir,redis,both")])
def test_X5_random_kills_the_books_stay_exact(workers, what):
    seed = int(os.environ.get("TORTURE_SEED", random.SystemRandom().randrange(1 << 32)))
    books = run(15, seed, workers=workers, what=what.split(","))
    assert books.sent == 1500 and sum(books.ever.values()) > 0
