"""Two statweirs on one Redis: clients move between them, and every count is right."""
import random
import threading

import pytest

from harness.faults import FaultProxy, Weir, end_leases
from harness.proxy import until
from test_kill import judge, start_mp, storm


class Switch(FaultProxy):
    """Each new connection goes to one of several ports, by chance."""

    def __init__(self, ports, seed):
        self.ports = list(ports)
        self.random = random.Random(seed)
        super().__init__(None)

    def _connect(self):
        self.target = ("127.0.0.1", self.random.choice(self.ports))
        return super()._connect()


class Leases(threading.Thread):
    """The most leases that each has been seen to hold at a time."""

    def __init__(self, weirs):
        super().__init__(daemon=True)
        self.weirs, self.most, self.is_over = weirs, [0] * len(weirs), threading.Event()

    def run(self):
        while not self.is_over.wait(0.05):
            for i, p in enumerate(self.weirs):
                try:
                    self.most[i] = max(self.most[i], p.metric("statweir_leases_held"))
                except OSError:
                    pass  # it has been killed


class Pair:
    def __init__(self, folder, redis, durability):
        self.folder, self.redis = str(folder), redis
        self.mp, self.mp_port = start_mp(self.folder)
        settings = {"redis.server": "unix:" + redis.socket, "redis.durability": durability,
                    "redis.call_timeout": "1s", "rollup.interval": "2s",
                    # Long enough under a lease to be seen, as with a management point that is slow.
                    "rollup.settle_wait": "300ms"}
        self.weirs = [Weir(self.mp_port, dict(settings)) for _ in range(2)]
        self.switch = None
        for p in self.weirs:
            p.again().ready()
        # Both learn all acknowledgements first: a sample that is cut off on its way may arrive
        # twice, with or without statweir.
        for i, p in enumerate(self.weirs):
            assert storm(p.port, self.folder, "--seed", str(10 + i), "--clients", "20", "--rules",
                         "5").wait(60) == 0
        self.leases = Leases(self.weirs)
        self.leases.start()
        self.switch = Switch([p.port for p in self.weirs], seed=1)

    def settled(self):
        for p in self.weirs:
            p.ledger()
        return all(p.metric("statweir_ledger_pending_messages") == 0 for p in self.weirs)

    def summaries(self, outcome):
        return sum(p.metric("statweir_summaries_total", outcome=outcome) for p in self.weirs)

    def end(self):
        """What the management point was told, by (client, window)."""
        until("every message is settled", self.settled)
        self.leases.is_over.set()
        self.leases.join()
        code, text = judge(self.folder)
        assert code == 0 and "the books balance" in text, text
        ids = {}
        with open(self.folder + "/mp.log", encoding="ascii") as f:
            for line in f:
                fields = dict(w.split("=", 1) for w in line.split() if "=" in w)
                if fields.get("kind") == "summary" and fields.get("part", "").startswith("1/"):
                    ids.setdefault(fields["window"], set()).add(fields["id"])
        # One message under one ID says what a client did in a window.
        assert ids and all(len(v) == 1 for v in ids.values())
        return ids

    def close(self):
        if self.switch:
            self.leases.is_over.set()
            self.switch.close()
        try:
            for p in self.weirs:
                p.close()
        finally:
            self.mp.terminate()
            self.mp.wait()


@pytest.fixture(params=["redis", "journal"])
def pair(request, tmp_path, redis):
    made = Pair(tmp_path, redis, request.param)
    yield made
    made.close()


def run(load, switch, each_s):
    """Let the clients change places until the storm is over."""
    while load.poll() is None:
        threading.Event().wait(each_s)
        switch.reset_all()


def test_two_clients_move_in_mid_window_one_summary_each(pair):
    load = storm(pair.switch.port, pair.folder)
    run(load, pair.switch, 0.5)
    assert load.wait() == 0
    windows = pair.end()
    # Who asks first when a shard is due has it: that may be the same one each time.
    assert sum(pair.leases.most) > 0
    assert all(p.outcome("absorbed_unique") > 0 for p in pair.weirs)
    # Each was sealed by one of them, and settled by one of them.
    assert pair.summaries("sealed") == len(windows)
    assert pair.summaries("delivered") == len(windows)


def test_two_one_is_killed_and_comes_back(pair):
    victim, other = pair.weirs
    load = storm(pair.switch.port, pair.folder)
    until("it is under way", lambda: victim.outcome("absorbed_unique") > 300)
    victim.kill()
    pair.switch.ports = [other.port]
    pair.switch.reset_all()
    before = other.outcome("absorbed_unique")
    until("the other takes over", lambda: other.outcome("absorbed_unique") > before + 100 or
          load.poll() is not None)
    end_leases(pair.redis)
    victim.again().ready()
    pair.switch.ports = [victim.port, other.port]
    run(load, pair.switch, 0.5)
    assert load.wait() == 0
    windows = pair.end()
    assert sum(pair.leases.most) > 0
    assert pair.summaries("delivered") <= len(windows)
