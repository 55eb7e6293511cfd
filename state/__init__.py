"""What is: the pipeline file, verdicts, the state machine and the state database."""

__version__ = "0.1.0"
