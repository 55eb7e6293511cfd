"""The page: what people look at, rendered from the answers of the API and kept fresh by a small script."""
