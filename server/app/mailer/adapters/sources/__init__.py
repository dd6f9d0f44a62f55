"""Sources of recipients: CSV, XLSX, JSON and JSONL files, opened as one kind of table."""

from app.mailer.adapters.sources.opening import MAX_BYTES, open_source, read_source

__all__ = ["MAX_BYTES", "open_source", "read_source"]
