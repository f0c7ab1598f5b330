"""The comparison that torture rests on finds what it should, and nothing else."""
import pytest

from harness import ccm
from load import MP_DATE, Sent, client_name
from torture import Books

FAILED, OURS, PASSED = (0, 1, None, False), (2, 3, 200, False), (2, 3, 200, True)


class Round:
    """Messages of one client with their tries, and how often the management point got each."""

    def __init__(self, *messages):
        self.sent, self.requests = {}, []
        for tries, n_receipts in messages:
            m = ccm.Message(client=7)
            s = self.sent[m.id] = Sent(m)
            s.tries, s.acks = list(tries), 1
            self.requests += n_receipts * [Request(m.body)]

    def compare(self, books, ever):
        books.compare(self, self.requests, lambda: {client_name(7): ever}, None, 0)


class Request:
    def __init__(self, body):
        self.body, self.at = body, 0


def test_absorbed_and_passed_balance():
    books = Books()
    Round(([OURS], 0), ([FAILED, OURS], 0), ([PASSED], 1)).compare(books, 2)
    assert books.tolerated == 0 and books.forwarded == 1
    assert MP_DATE.startswith(b"Thu, 01 Mar 2007")


def test_lost():
    with pytest.raises(AssertionError, match="1 messages lost"):
        Round(([OURS], 0), ([FAILED, OURS], 0)).compare(Books(), 1)


def test_doubled():
    """A try without an answer had been recorded; the next was passed on, and answered."""
    with pytest.raises(AssertionError, match="1 messages doubled"):
        Round(([OURS], 0), ([FAILED, PASSED], 1)).compare(Books(), 2)


def test_repeated_after_a_lost_answer_may_be_counted():
    for ever in (1, 2):
        Round(([OURS], 0), ([FAILED, OURS], 1)).compare(Books(), ever)


def test_repeated_after_a_lost_answer_is_counted_late_and_once():
    """The journal had acknowledged it: it came to Redis after the comparison."""
    books = Books()
    Round(([OURS], 0), ([FAILED, OURS], 1)).compare(books, 1)
    Round(([OURS], 0)).compare(books, 3)
    with pytest.raises(AssertionError, match="1 messages doubled"):
        Round(([OURS], 0)).compare(books, 5)
