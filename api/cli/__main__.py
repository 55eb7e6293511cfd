"""`python -m api.cli` is `backfilld`."""

from api.cli import main

if __name__ == "__main__":
    main()
