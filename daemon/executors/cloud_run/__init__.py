"""Runs jobs as executions of Cloud Run jobs."""
