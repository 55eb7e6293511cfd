"""The league's gamebooks: every player of every game, whether he played or not.

Takes a range inside the chosen seasons; no range at all means everything.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    values={"--service-url": "demo", "--seasons": "2021", "--bucket": "demo", "--limit": "0"}
)

if __name__ == "__main__":
    sys.exit(run("nbac_gamebook_player_stats", COMMAND_LINE, __doc__))
