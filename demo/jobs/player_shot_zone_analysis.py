"""Step 2: where every player shoots from, from the season's player summaries up to the date.

Knows neither `--parallel` nor `--workers`.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(dates="--dates", switches=("--no-resume", "--skip-preflight"))

if __name__ == "__main__":
    sys.exit(run("player_shot_zone_analysis", COMMAND_LINE, __doc__))
