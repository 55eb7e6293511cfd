"""Reports about dates: validation, plan, quality, progress, and what they wait for."""
