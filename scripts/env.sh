#!/usr/bin/env bash
# Makes .venv with the packages of server/requirements-dev.txt, or with `env.sh run` of
# server/requirements.txt (a development environment serves as well). Does nothing, and says
# nothing, where .venv has them already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

case "${1:-dev}" in
  dev) lock=server/requirements-dev.txt ;;
  run) lock=server/requirements.txt ;;
  *) echo "usage: scripts/env.sh [dev|run]" >&2; exit 2 ;;
esac
# Each installed lock is kept in .venv as its own stamp.
installed() { cmp -s "server/$1" ".venv/$1"; }
if .venv/bin/python -c '' 2>/dev/null; then
  installed requirements-dev.txt && installed requirements.txt && exit 0
  [ "${1:-dev}" = run ] && installed requirements.txt && exit 0
fi

find_python() {
  local candidate version=''
  for candidate in python3.13 python3.12 python3.11 python3; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    version=$candidate
    if "$candidate" -c 'import ensurepip, venv' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  if [ -n "$version" ]; then
    echo "Python cannot make environments here: apt-get install python3-venv" >&2
  else
    echo "Python 3.11 or newer is needed, and none was found: $(python3 --version 2>&1 || true)" >&2
  fi
  return 1
}

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  python=$(find_python)
  echo "Making .venv with $("$python" --version)"
  rm -rf .venv
  "$python" -m venv .venv
fi
# pip wants a home for its cache; where there is none to write to, it does without.
[ -w "${HOME:-/nonexistent}" ] || export HOME="$PWD/.venv" PIP_NO_CACHE_DIR=1
echo "Installing the packages of $lock"
rm -f .venv/requirements.txt .venv/requirements-dev.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
  --require-hashes --requirement "$lock"
cp server/requirements.txt .venv/
[ "$lock" = server/requirements.txt ] || cp "$lock" .venv/
