"""Request and response models, which also make the OpenAPI document."""
