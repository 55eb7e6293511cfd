"""A small platform of real jobs that fills a lake for real NBA dates.

It imitates the BigQuery platform that backfilld was built for: fourteen jobs with the command lines and
behaviour of that platform run as real processes and write Parquet partitions, which DuckDB reads. Switches
turn on its misbehaviour. Nothing here imports the daemon.

* `processors`: the output, inputs and query of each job
* `job_options`: the date options of each job, which differ
* `lake`: partitions, the game schedule and the run history
* `bigquery_publisher`: copies the output of jobs to a BigQuery emulator
* `job_main`, `job`: parse the command line of a job, and run it; `jobs/` has the fourteen of them
* `misbehaviour`: switches the misbehaviour of a job on
* `faults`: the three faults that `backfilld demo` shows
* `run_log`: start and end of every job, for tests
* `environment`: a fresh lake, a pipeline file and a daemon for `backfilld demo`
"""
