"""Betting lines on players' points: a row per player, bookmaker and side.

Takes its dates best as a list: in the real one a range picks the seasons by calendar year and finds nothing
from January to June.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    dates="--dates",
    values={"--mode": "smart", "--service-url": "demo", "--bucket": "demo", "--limit": "0"},
    switches=("--playoffs-only",),
)

if __name__ == "__main__":
    sys.exit(run("bettingpros_player_points_props", COMMAND_LINE, __doc__))
