#!/usr/bin/env bash
# Writes server/requirements.txt and server/requirements-dev.txt anew from server/pyproject.toml:
# exact versions with hashes, good for every platform, without naming the index they came from.
# Arguments go to `uv pip compile`, for example --upgrade.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../server"
[ -x ../.venv/bin/python ] || ../scripts/env.sh dev
uv() { ../.venv/bin/python -m uv "$@"; }
uv --version >/dev/null 2>&1 || ../.venv/bin/python -m pip install --quiet uv
common=(--quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url)
uv pip compile "${common[@]}" "$@" pyproject.toml -o requirements.txt
uv pip compile "${common[@]}" "$@" --extra dev pyproject.toml -o requirements-dev.txt
