"""What was written down about one recipient, from the file or from a table's rows."""
