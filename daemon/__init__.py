"""What moves: gates, engine, warehouses, executors and the service that runs them."""
