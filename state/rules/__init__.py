"""Pure rules: what is expected of a date, what evidence means, and what a date does next."""
