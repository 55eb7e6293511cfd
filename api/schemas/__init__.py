"""What the API is asked (`asked`) and what it answers (all else): models that also describe it in OpenAPI."""
