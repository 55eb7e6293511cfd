"""The control API, the page, metrics, notifications and the command line."""
