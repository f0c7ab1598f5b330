"""What /proc tells about running processes."""
import os

TICK_NS = 10**9 // os.sysconf("SC_CLK_TCK")


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            direct = [int(x) for x in f.read().split()]
    except OSError:
        return []
    return direct + [g for c in direct for g in children(c)]


def name_of(pid):
    try:
        with open("/proc/%d/comm" % pid) as f:
            return f.read().strip()
    except OSError:
        return ""


def stat_fields(pid):
    """/proc/PID/stat from the third field on."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rsplit(")", 1)[1].split()
    except OSError:
        return []


def cpu_ns(pid):
    """Nanoseconds on the CPU, user and system, all threads; children that have ended too."""
    total = 0
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as f:
                total += int(f.read().split()[0])
    except OSError:
        return 0
    fields = stat_fields(pid)
    # cutime, cstime: what Redis's rewrites of its file have cost
    return total + (int(fields[13]) + int(fields[14])) * TICK_NS if fields else total


def system_share(pid):
    """(user, system) ticks."""
    fields = stat_fields(pid)
    return (int(fields[11]), int(fields[12])) if fields else (0, 0)


def memory_kib(pid, field):
    try:
        with open("/proc/%d/status" % pid) as f:
            for line in f:
                if line.startswith(field + ":"):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def reset_peak(pid):
    """Let VmHWM begin at what is resident now."""
    try:
        with open("/proc/%d/clear_refs" % pid, "w") as f:
            f.write("5")
    except OSError:
        pass
