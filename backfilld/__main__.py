"""`python -m backfilld` is the command `backfilld`."""

from backfilld.api.cli.main import main

main()
