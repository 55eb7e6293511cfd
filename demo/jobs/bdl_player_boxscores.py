"""Player box scores of a second source, which can stand in for the gamebooks.

Wants its dates in a file, one a line, and knows no range at all.
"""

import sys

from backfilld.demo.job_main import run
from backfilld.demo.job_options import CommandLine

COMMAND_LINE = CommandLine(
    start=None,
    end=None,
    dates_file="--dates-file",
    required=True,
    values={"--workers": "6", "--batch-size": "7", "--timeout": "120"},
)

if __name__ == "__main__":
    sys.exit(run("bdl_player_boxscores", COMMAND_LINE, __doc__))
