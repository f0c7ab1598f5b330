import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ccm, client  # noqa: E402
from harness.faults import failpoints, network, redis, shim, weirs  # noqa: E402,F401
from harness.mp import ManagementPoint  # noqa: E402
from harness.proxy import Statweir  # noqa: E402


@pytest.fixture
def mp():
    m = ManagementPoint()
    yield m
    m.stop()


@pytest.fixture
def proxies():
    """A factory of running statweirs; all are checked and stopped at the end."""
    running = []

    def start(upstream, settings=None, state=None):
        p = Statweir(upstream, settings, state)
        running.append(p)
        return p.start()

    yield start
    problem = None
    for p in reversed(running):
        try:
            p.close()
        except AssertionError as e:
            problem = problem or e
    if problem:
        raise problem


@pytest.fixture
def statweir(mp, proxies):
    return proxies(mp.port).ready()


@pytest.fixture
def learned(statweir, mp):
    """A statweir that has learned the acknowledgement from three samples."""
    teach(statweir)
    return statweir


def teach(p, n=3):
    for _ in range(n):
        r = client.ask(p.port, ccm.Message(client=999, rule="TEACH").raw)
        assert r.status == 200, r
