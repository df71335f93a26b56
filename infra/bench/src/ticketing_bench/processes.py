"""What the processes of the market take, as the kernel tells: processor time and memory."""

import os
import re
from pathlib import Path

NAME = "BENCH_PART"
"""The environment variable by which a process is known to be a part of the market."""
_TICKS = os.sysconf("SC_CLK_TCK")


def running_parts() -> dict[str, int]:
    """The process ids of those of our children that bear a name, and of the ingress."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == os.getpid():
                environment = (folder / "environ").read_bytes()
                if (folder / "comm").read_text() == "caddy\n":  # it is started by the stack itself
                    found["ingress"] = int(folder.name)
                elif name := re.search(rb"(?:^|\0)%s=([^\0]*)" % NAME.encode(), environment):
                    found[name[1].decode()] = int(folder.name)
        except (OSError, IndexError, ValueError):
            continue  # no process, or one that has just ended
    return found


def cpu_seconds(pid: int) -> float:
    """Processor time of all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def peak_rss_mb(pid: int) -> float:
    """The most memory it ever had resident, pages shared with others included."""
    return _kilobytes(f"/proc/{pid}/status", "VmHWM") / 1024


def rss_mb(pid: int) -> float:
    return _kilobytes(f"/proc/{pid}/status", "VmRSS") / 1024


def pss_mb(pid: int) -> float:
    """Resident memory, of shared pages its share."""
    return _kilobytes(f"/proc/{pid}/smaps_rollup", "Pss") / 1024


def _kilobytes(path: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", Path(path).read_text(), re.MULTILINE)
    assert found, f"{path} does not tell {name}"
    return int(found[1])
