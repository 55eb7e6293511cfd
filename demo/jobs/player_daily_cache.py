"""Step 4: what predictions need of every regular, from player summaries, team offense and context.

Accepts `--parallel` and does not care.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    dates="--dates", switches=("--no-resume", "--skip-preflight", "--parallel"), values={"--workers": "15"}
)

if __name__ == "__main__":
    sys.exit(run("player_daily_cache", COMMAND_LINE, __doc__))
