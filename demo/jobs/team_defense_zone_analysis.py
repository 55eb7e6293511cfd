"""Step 1: where every team defends well, from the season's team defense up to the date.

Accepts `--parallel` and does not care.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    dates="--dates", switches=("--no-resume", "--skip-preflight", "--parallel"), values={"--workers": "15"}
)

if __name__ == "__main__":
    sys.exit(run("team_defense_zone_analysis", COMMAND_LINE, __doc__))
