"""What is: the pipeline file, the rules, and the state database."""
