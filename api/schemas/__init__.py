"""What the API is asked (`asked`) and what it answers (`told`): models that also describe it in OpenAPI."""
