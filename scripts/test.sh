#!/usr/bin/env bash
# Runs every check and every test; arguments (-k name, a path below server/) go to pytest alone.
# All steps run, so that one run shows all failures. With CI=true a skipped test is a failure.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/env.sh dev

# Programs that some tests need, and the Debian packages that have them.
install_programs() {
  local missing=()
  [ -x /usr/sbin/dovecot ] || missing+=(dovecot-imapd)
  command -v 7z >/dev/null || missing+=(p7zip-full)
  command -v chromium >/dev/null || missing+=(chromium)
  command -v curl >/dev/null || missing+=(curl)
  if [ ${#missing[@]} -eq 0 ] || [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    return 0
  fi
  echo "Installing ${missing[*]} for tests"
  export DEBIAN_FRONTEND=noninteractive
  if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}"; } \
    >/dev/null 2>&1 </dev/null; then
    echo "They could not be installed: the tests that need them will be skipped."
  fi
}
install_programs

cd server
python=../.venv/bin/python
failed=()
step() {
  local title=$1 start=$SECONDS
  shift
  printf '== %s\n' "$title"
  "$@" </dev/null || failed+=("$title")
  printf '   %d s\n' $((SECONDS - start))
}

step 'lint (ruff check)' $python -m ruff check --quiet . ../bench ../scripts
step 'format (ruff format)' $python -m ruff format --quiet --check . ../bench ../scripts
step 'types (mypy strict)' $python -m mypy --no-error-summary
step 'layers (import-linter)' $python -c 'from importlinter.cli import lint_imports_command as run; run()' --no-logo
step 'migrations on SQLite (alembic check)' $python -m tests.servers.migrations sqlite
step 'migrations on Postgres (alembic check)' $python -m tests.servers.migrations postgres
step 'generated files' ../scripts/generate.sh --check

if [ ${#failed[@]} -gt 0 ]; then
  printf '** failed so far: %s\n' "${failed[@]}"
fi
printf '== tests (pytest)\n'
paths=()
[ $# -gt 0 ] || paths=(tests)
if [ $# -eq 0 ] && compgen -G '../bench/test*/' >/dev/null; then paths+=(../bench/test*/); fi
status=0
$python -m pytest -c pyproject.toml --rootdir . -n 2 "${paths[@]}" "$@" || status=$?
[ ${#failed[@]} -eq 0 ] || exit 1
exit "$status"
