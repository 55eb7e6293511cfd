"""Authentication and limits: hosts, tokens with scopes, browser sessions, rates."""
