"""X22 for the files that statweir writes without a journal: learned acknowledgements."""
import os

import pytest

from harness import ccm
from harness.faults import ask, learn
from harness.proxy import Statweir


@pytest.mark.parametrize("fault", ["file_write=error:ENOSPC", "file_rename=error:EIO",
                                   "file_write=kill@2", "file_rename=kill@2"])
def test_X22_acknowledgement_file_fails(fault, failpoints, weirs, redis, mp):
    p = weirs(failpoints=fault, teach=False)
    Statweir.ready(p)
    if "kill" in fault:
        for _ in range(3):
            ask(p, ccm.Message(client=999, rule="TEACH"))
        p.is_dead()
    else:
        learn(p)
        m = ccm.Message()
        assert ask(p, m) == 200
        assert p.outcome("absorbed_unique") == 1
        assert p.logged("ack_file")
        assert p.stop() == 0
    folder = os.path.join(p.state, "ack")
    assert not [f for f in os.listdir(folder) if f.endswith(".ack")]
    n = len(mp.requests)
    p.again().ready()
    learn(p)
    assert len(mp.requests) == n + 3  # learned anew
    assert ask(p, ccm.Message()) == 200
    assert len(mp.requests) == n + 3


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_X22_acknowledgement_file_nth_call_fails(call, shim, weirs, redis, mp):
    for n in (1, 2, 3):
        p = weirs(teach=False, LD_PRELOAD=shim, NTH_ONLY="statweir", NTH_PATH="/ack/",
                  NTH_CALLS="%s:EIO@%d" % (call, n))
        Statweir.ready(p)
        learn(p)
        m = ccm.Message(client=22)
        k = len(mp.requests)
        assert ask(p, m) == 200
        assert len(mp.requests) == k
        p.close()
