"""The HTTP server in the daemon's process: connections, lanes of threads, and the listening socket."""
