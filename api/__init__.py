"""How people reach it: the control API, metrics and the command line."""
