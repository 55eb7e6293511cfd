"""What is known of every team before its game, from the schedule.

Knows no list of dates; the start is required by argparse.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(required=True, switches=("--no-resume", "--parallel"), values={"--workers": "15"})

# Without the second, every date of phase 3 would set off phase 4.
OPTIONS = {"backfill_mode": True, "skip_downstream_trigger": True}

if __name__ == "__main__":
    sys.exit(run("upcoming_team_game_context", COMMAND_LINE, __doc__, **OPTIONS))
