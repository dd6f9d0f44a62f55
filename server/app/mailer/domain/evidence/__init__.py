"""The evidence of a campaign version: one ZIP file that can be verified without a database.

`form` says what is in it, `zip_form` how its bytes are laid out, `check` what must be true of it.
"""
