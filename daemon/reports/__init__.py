"""What people are told of dates: what they have, what would run, how far they are and what they wait for."""
