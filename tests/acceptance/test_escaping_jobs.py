"""Attempts of one table never overlap, whatever their children do to outlive them.

The kernel is the witness: each process of a job keeps a shared lock while it lives, and each attempt first
tries to have the lock alone.
"""

import fcntl
import signal

from tests.acceptance.daemon import daemon
from tests.integration.escapes import ESCAPES, script

DAY = "2024-03-01"
PIPELINE = """
name = "escapes"
warehouse = { kind = "lake", path = "lake" }
[jobs]
slots = 8
timeout = "10s"
grace_period = "1s"
backoff = "1s"
max_attempts = 3
breaker_threshold = 0
[[phase]]
name = "raw"
"""
PROCESSOR = """
[[phase.processor]]
name = "p{number}"
table = "raw.p{number}"
priority = "fallback"
command = ["sh", "p{number}.sh", "{{date}}"]
"""
JOB = """
mkdir -p p{number}
cd p{number}
rm -f child
exec 8>>lock
flock --exclusive --nonblock 8 || echo overlap >>../overlaps
flock --shared 8
echo $BACKFILLD_ATTEMPT >>attempts
{escape}
until test -e child; do sleep 0.05; done
{end}
"""
ENDS = ("sleep 300", "exit 3")
"""An attempt that runs into its time limit, and one that fails by itself and leaves its child behind."""


def test_no_two_attempts_of_a_table_overlap_however_their_children_escape(tmp_path):
    with daemon(tmp_path / "d", start=False) as one:
        # Given jobs with a child that escapes, across time limits, failures and a killed daemon
        kinds = list(enumerate(ESCAPES))
        one.pipeline.write_text(PIPELINE + "".join(PROCESSOR.format(number=n) for n, _ in kinds))
        for n, kind in kinds:
            text = JOB.format(number=n, escape=script(kind), end=ENDS[n % 2])
            (one.folder / f"p{n}.sh").write_text(text)
        one.start()
        number = one.enqueue(DAY, DAY)
        one.wait_for((one.folder / "p0" / "child").exists, "at work")
        one.signal(signal.SIGKILL)
        one.start()
        one.finish(number)
        # Then each table had its three attempts, and none began while a process of another one lived
        attempts = [(one.folder / f"p{n}" / "attempts").read_text().split() for n, _ in kinds]
        assert list(map(len, attempts)) == [3] * len(kinds)
        assert not (one.folder / "overlaps").exists()
        # And no process is left
        for n, _ in kinds:
            with (one.folder / f"p{n}" / "lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
