"""The pipeline file: its models, its validation and its loading."""
