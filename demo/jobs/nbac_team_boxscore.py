"""The league's team box scores: two rows per game.

Knows a start and no end: from there it goes through the season, unless `--days` limits it. `--end-date` is
refused by argparse, which exits with 2.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    end=None,
    days="--days",
    values={
        "--service-url": "demo",
        "--csv": "game_ids_to_scrape.csv",
        "--season": "2021",
        "--limit": "0",
        "--workers": "1",
        "--timeout": "300",
    },
)

if __name__ == "__main__":
    sys.exit(run("nbac_team_boxscore", COMMAND_LINE, __doc__))
