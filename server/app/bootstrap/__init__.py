"""The one place that joins ports to adapters."""
