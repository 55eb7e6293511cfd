"""The 5 + 5 + 4 shape as Luigi tasks; run by `bench.overhead` in an environment that has Luigi.

python luigi_tasks.py DATES FOLDER
"""

import subprocess
import sys
from pathlib import Path

import luigi

PHASES = (("phase2", 5), ("phase3", 5), ("phase4", 4))
SLOTS = 8


class Job(luigi.Task):
    """One processor's job for one date, done when its marker is there."""

    phase = luigi.IntParameter()
    number = luigi.IntParameter()
    date = luigi.IntParameter()
    folder = luigi.Parameter()

    def requires(self):
        """All jobs of the phase before; in the last phase one after another, over all dates."""
        needed = []
        if self.phase > 0:
            count = PHASES[self.phase - 1][1]
            needed = [self.clone(phase=self.phase - 1, number=n) for n in range(count)]
        if self.phase == len(PHASES) - 1:
            if self.number > 0:
                needed.append(self.clone(number=self.number - 1))
            elif self.date > 0:
                needed.append(self.clone(number=PHASES[-1][1] - 1, date=self.date - 1))
        return needed

    def output(self):
        """The marker."""
        return luigi.LocalTarget(str(Path(self.folder, f"{self.phase}-{self.number}-{self.date}")))

    def run(self):
        """Start the process, then leave the marker."""
        subprocess.run(["/bin/true", str(self.date)], check=True)
        with self.output().open("w") as marker:
            marker.write("done")


if __name__ == "__main__":
    dates, folder = int(sys.argv[1]), sys.argv[2]
    step = {"phase": len(PHASES) - 1, "number": PHASES[-1][1] - 1, "folder": folder}
    last = [Job(date=date, **step) for date in range(dates)]
    sys.setrecursionlimit(100_000)
    done = luigi.build(last, workers=SLOTS, local_scheduler=True, log_level="ERROR")
    sys.exit(0 if done else 1)
