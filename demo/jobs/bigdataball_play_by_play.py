"""Play by play: a row per event, nearly five hundred a game.

Its options have underscores where all the others have hyphens, and no dates means a whole season.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    start="--start_date", end="--end_date", values={"--service-url": "demo", "--bucket": "demo"}
)

if __name__ == "__main__":
    sys.exit(run("bigdataball_play_by_play", COMMAND_LINE, __doc__))
