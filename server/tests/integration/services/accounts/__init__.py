"""Mail accounts and the secrets in them."""
