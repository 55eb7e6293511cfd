"""The plan: what would run for a range of dates, in which order, for how long and at what cost."""
