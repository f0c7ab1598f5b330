"""What is measured: which messages, how many connections, which contenders."""
import contenders as C
import messages as M

TWICE = "statweir, 2 workers, 128 connections"  # each has the load of the one
OTHER_BUILD = "statweir, other build"
FORWARDERS = ("statweir", "haproxy", "nginx")
ACK_BYTES = len(C.ACK_BODY.replace("\\r\\n", "\r\n"))
MANY_CLIENTS = 100000

MAKERS = {
    "statweir": C.Statweir,
    "haproxy": C.Haproxy,
    "nginx": C.Nginx,
    "nginx-lua": C.NginxLua,
    "statweir, 2 workers": lambda: C.Statweir("statweir, 2 workers", workers=2),
    TWICE: lambda: C.Statweir(TWICE, workers=2),
    "nginx-lua, everysec": lambda: C.NginxLua("nginx-lua, everysec", "everysec"),
    "nginx-lua with expat": lambda: C.NginxLua("nginx-lua, expat",
                                           recognise='require("absorb_xml").recognise'),
    "statweir, 100,000 clients": lambda: C.Statweir("statweir, 100,000 clients"),
}


class Scenario:
    """One row group of the report. Processes are shared by scenarios of one group."""

    def __init__(self, key, title, script, names, conns, group="", want_bytes=ACK_BYTES,
                 is_flood=False):
        self.key, self.title, self.script, self.names = key, title, script, names
        self.conns, self.group, self.want_bytes = conns, group, want_bytes
        self.is_flood = is_flood
        self.scripts = {}
        self.loads = {}  # connections of contenders that get others

    def of(self, name):
        """The same scenario with the messages and the connections that this contender gets."""
        if name not in self.scripts and name not in self.loads:
            return self
        other = Scenario(self.key, self.title, self.scripts.get(name, self.script), self.names,
                         self.loads.get(name, self.conns),
                         self.group, self.want_bytes, self.is_flood)
        return other


def all_scenarios():
    flood = M.flood_script()
    # the same bytes to a path that is not inspected
    other = M.flood_script(b"/ccm_other/request")
    inspected = M.flood_script(kind="Other_Status", number=1073751824)
    out = []
    for n in (1, 64, 512, 5000):
        out.append(Scenario("pass-post-%d" % n, "pass on a 2 KB CCM_POST, %d connection%s" %
                            (n, "" if n == 1 else "s"), other, FORWARDERS, n,
                            "%d" % n if n > 64 else ""))
    out.append(Scenario("pass-inspected", "pass on a 2 KB CCM_POST after inspection, 64 connections",
                        inspected, FORWARDERS, 64))
    out.append(Scenario("pass-get", "pass on a GET of 300 bytes, 8 KB reply, 64 connections",
                        M.get_script("/8k"), FORWARDERS, 64, want_bytes=8190))
    out.append(Scenario("pass-download", "pass on a download of 10 MB, 4 connections",
                        M.get_script("/10m"), FORWARDERS, 4, "large", want_bytes=10 << 20))
    out.append(Scenario("pass-upload", "pass on an upload of 10 MB, 4 connections",
                        M.upload_script("/up", 10 << 20), FORWARDERS, 4, "large"))
    for n in (1, 64, 512, 5000):
        names = ("statweir", "nginx-lua")
        if n == 64:
            names += ("statweir, 2 workers", TWICE, "statweir, 100,000 clients",
                      "nginx-lua, everysec", "nginx-lua with expat", "haproxy", "nginx")
        if n == 512:
            names += ("statweir, 2 workers",)
        s = Scenario("absorb-%d" % n, "absorb a 10907, %d connection%s" %
                     (n, "" if n == 1 else "s"), flood, names, n, "%d" % n if n > 64 else "",
                     is_flood=True)
        s.loads[TWICE] = 2 * n
        s.scripts["statweir, 100,000 clients"] = M.flood_script(clients=MANY_CLIENTS,
                                                                are_known=True)
        out.append(s)
    return out


def chosen(only, names, against):
    """Those whose key or title contains only, cut to some contenders; against: one more."""
    todo = [s for s in all_scenarios() if only in s.key or only in s.title]
    for s in todo:
        if names:
            s.names = [n for n in s.names if n in names.split("+")]
        if against:
            MAKERS[OTHER_BUILD] = lambda: C.Statweir(OTHER_BUILD, binary=against)
            s.names = list(s.names) + [OTHER_BUILD]
    return [s for s in todo if s.names]
