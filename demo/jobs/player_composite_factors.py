"""Step 3: what the coming game asks of every player, from both contexts and both zone analyses."""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    dates="--dates",
    switches=("--no-resume", "--skip-preflight", "--parallel", "--force"),
    values={"--workers": "15"},
)

if __name__ == "__main__":
    sys.exit(run("player_composite_factors", COMMAND_LINE, __doc__))
