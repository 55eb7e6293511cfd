"""What is told without being asked: what is worth telling, and the webhook that takes it."""
