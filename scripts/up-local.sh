#!/usr/bin/env bash
# A development stack: builds the image, starts the Postgres of compose.local.yml and lays out the
# database with development data. Needs Docker with Compose 2.24 or newer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -e .env ]; then
  cp .env.example .env
  echo "Made .env from .env.example"
fi
compose=(docker compose -f compose.yml -f compose.local.yml)
"${compose[@]}" build cli
"${compose[@]}" up --detach --wait postgres
"${compose[@]}" run --rm cli python -m app.mailer.commands.init_db --with-dev-data
echo "Ready. Run a command: ${compose[*]} run --rm cli python -m app.mailer.commands.list_db_campaigns --help"
