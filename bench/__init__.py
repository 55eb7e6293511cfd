"""What is measured: one command each, results in README.md beside."""
