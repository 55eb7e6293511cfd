"""What children of a job do to get away from it. Each keeps a shared lock on the file `lock`."""

from __future__ import annotations

import sys

STAYS = (
    """exec 9>>"$D/lock"; flock -s 9; echo $$ >"$D/child.new"; mv "$D/child.new" "$D/child"; exec sleep 300"""
)
STAYS_IN_PYTHON = """
import fcntl, time
lock = open(os.environ["D"] + "/lock", "a")
fcntl.flock(lock, fcntl.LOCK_SH)
with open(os.environ["D"] + "/child.new", "w") as file:
    print(os.getpid(), file=file)
os.rename(os.environ["D"] + "/child.new", os.environ["D"] + "/child")
time.sleep(300)
"""
DAEMON = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.chdir("/")
os.closerange(0, 1024)
for _ in range(3):
    os.open("/dev/null", os.O_RDWR)
"""
NOT_DUMPABLE = """
import ctypes
ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)
"""
ESCAPES = {
    "another session": "setsid sh -c '{stays}' &",
    "no environment": "env -i D=$D PATH=$PATH sh -c '{stays}' &",
    "another session and no environment": "setsid env -i D=$D PATH=$PATH sh -c '{stays}' &",
    "a double fork": "(setsid env -i D=$D PATH=$PATH sh -c '{stays}' &) &",
    "closed files": "setsid env -i D=$D PATH=$PATH sh -c '{stays}' </dev/null >/dev/null 2>&1 &",
    "a daemon": "env -i D=$D PATH=$PATH {python} -c '{daemon}{stays_in_python}' &",
    "no signal but KILL": "nohup setsid env -i D=$D PATH=$PATH sh -c 'trap \"\" HUP INT TERM; {stays}' &",
    "hidden from /proc": "env -i D=$D PATH=$PATH {python} -c '{not_dumpable}{daemon}{stays_in_python}' &",
}


def script(escape: str) -> str:
    """A shell script whose child escapes so. Once it has, the file `child` in its folder has its pid."""
    quoted = {
        "stays": STAYS,
        "stays_in_python": STAYS_IN_PYTHON,
        "daemon": DAEMON,
        "not_dumpable": NOT_DUMPABLE,
    }
    return f"D=$PWD; export D; {ESCAPES[escape].format(python=sys.executable, **quoted)}"
