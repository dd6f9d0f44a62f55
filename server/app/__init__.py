"""MultiMailer: personal letters with their own files, each sent exactly once."""

__version__ = "0.1.0"
