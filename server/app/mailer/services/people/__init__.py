"""Who may do what: signing in, one's own account, and the administration of people and keys."""
