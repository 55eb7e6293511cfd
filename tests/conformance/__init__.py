"""What every adapter must hold to: a suite for warehouses, inherited by each with one fixture."""
