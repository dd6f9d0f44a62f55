"""Runs one mail server by itself, for the demo: `python -m tests.servers smtp --port-file F`.

Writes its ports to the file as JSON once it is ready, and stops on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.servers import dovecot
from tests.servers.certificates import Certificates
from tests.servers.plain_smtp import AiosmtpdServer


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    smtp = kinds.add_parser("smtp", help="takes every message; ports: {port}")
    smtp.add_argument("--port", type=int, default=0, help="default: a free one")
    smtp.add_argument("--folder", type=Path, help="where to write each message as 00001.eml, …")
    imap = kinds.add_parser("dovecot", help="IMAP, password `secret`; ports: {port, tls_port}")
    for each in (smtp, imap):
        each.add_argument("--port-file", type=Path, required=True)
    arguments = parser.parse_args()

    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with ExitStack() as stack:
        if arguments.kind == "smtp":
            if arguments.folder:
                arguments.folder.mkdir(parents=True, exist_ok=True)
            server = stack.enter_context(
                AiosmtpdServer(folder=arguments.folder, port=arguments.port)
            )
            ports = {"port": server.port}
        else:
            if reason := dovecot.why_not():
                print(reason, file=sys.stderr)
                return 1
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            imap_server = stack.enter_context(dovecot.DovecotServer(Certificates(folder).good))
            ports = {"port": imap_server.port, "tls_port": imap_server.tls_port}
        unfinished = arguments.port_file.with_suffix(".tmp")
        unfinished.write_text(json.dumps(ports), "utf-8")
        os.replace(unfinished, arguments.port_file)
        signal.sigwait(stop)
    return 0


if __name__ == "__main__":
    sys.exit(main())
