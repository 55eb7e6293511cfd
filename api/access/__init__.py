"""Who may come in, and how often: hosts, tokens with scopes, sessions of browsers, limits."""
