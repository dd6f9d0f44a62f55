"""Sources of recipients: CSV, XLSX, JSON and JSONL files, opened as one kind of table."""

from app.mailer.adapters.sources.opening import open_source

__all__ = ["open_source"]
