"""The HTTP API: reads a request, calls one service, presents the answer."""
