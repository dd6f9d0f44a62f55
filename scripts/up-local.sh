#!/usr/bin/env bash
# A development stack: the service behind Traefik, with Postgres and Garage, on development data.
# Needs Docker with Compose 2.24 or newer. Arguments go to `docker compose up`, e.g. --scale api=2.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ ! -e .env ]; then
  cp .env.example .env
  echo "Made .env from .env.example"
fi
compose=(docker compose -f compose.yml -f compose.local.yml)
"${compose[@]}" up --build --detach --wait "$@"
echo "Ready: http://localhost:8080/health, and the API's pages at http://localhost:8000/docs"
echo "Stop it: ${compose[*]} down"
