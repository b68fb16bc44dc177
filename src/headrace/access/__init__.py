"""Who may do what: users, sessions, tokens, roles, audit."""
