"""What every team scored in every game, from the team box scores."""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    dates="--dates", switches=("--no-resume", "--parallel"), values={"--workers": "15"}
)

# Without the second, every date of phase 3 would set off phase 4.
OPTIONS = {"backfill_mode": True, "skip_downstream_trigger": True}

if __name__ == "__main__":
    sys.exit(run("team_offense_game_summary", COMMAND_LINE, __doc__, **OPTIONS))
