"""Messages as bytes (RFC 5322, 2045 to 2049), frozen."""
