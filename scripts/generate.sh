#!/usr/bin/env bash
# Writes the generated files (schema, reference pages) anew; with --check only says which differ.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
./env.sh dev
cd ../server
exec ../.venv/bin/python -m app.generate "$@"
