"""A campaign made ready, and each entry checked against it."""
