"""What every player did in every game, from the gamebooks, or from the second source where there are none.

Reads the team offense of the same date for the usage rate, so that must be there first.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    dates="--dates", switches=("--no-resume", "--parallel"), values={"--workers": "15"}
)

# Without the second, every date of phase 3 would set off phase 4.
OPTIONS = {"backfill_mode": True, "skip_downstream_trigger": True}

if __name__ == "__main__":
    sys.exit(run("player_game_summary", COMMAND_LINE, __doc__, **OPTIONS))
