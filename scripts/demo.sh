#!/usr/bin/env bash
# A campaign from its file to the Sent folder, by the commands that an operator types: on SQLite,
# with an SMTP server and an IMAP account of this machine, so that no letter can leave it. All that
# is made is in ./var, and every run begins anew. Then the same by the service's API.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/env.sh dev # the SMTP server is a package for development

root=$PWD
demo=$root/var/demo
export PATH="$root/.venv/bin:$PATH"
unset PYTHONDONTWRITEBYTECODE PYTHONHOME PYTHONPATH
export PYTHONPYCACHEPREFIX="$root/var/pycache" PYTHONUTF8=1
# What is set for real work, here or in .env, stays out of it. An empty variable counts as unset.
export APP_ENV=dev DEV_API_KEY=dev-multimailer-api-key MASTER_KEY_B64=
export DATABASE_URL=sqlite:///../var/demo/multimailer.db
export BLOB_DIR=../var/demo/blobs JOURNAL_DIR=../var/demo/journal
export MULTIMAILER_SMTP_HOST= MULTIMAILER_SMTP_PORT= MULTIMAILER_SMTP_SECURITY=
export MULTIMAILER_SMTP_USERNAME= MULTIMAILER_SMTP_PASSWORD=

servers=()
stop_servers() {
  local server
  for server in ${servers[@]+"${servers[@]}"}; do
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  done
}
trap stop_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bold= plain=
if [ -t 1 ]; then bold=$'\033[1m' plain=$'\033[0m'; fi
part() { printf '\n%s── %s%s\n' "$bold" "$*" "$plain"; }

# Shows a command of the program as it is typed, runs it, and ends the demo unless it exits as
# expected: 0, or 1 where it has findings for a person.
mm() {
  local expected=$1 command=$2 status=0 word
  shift 2
  printf '\n$ python -m app.mailer.commands.%s' "$command"
  for word in "$@"; do
    case $word in
      *[!A-Za-z0-9_./:@-]*) printf " '%s'" "$word" ;;
      *) printf ' %s' "$word" ;;
    esac
  done
  printf '\n'
  python -m "app.mailer.commands.$command" "$@" || status=$?
  if [ "$status" != "$expected" ]; then
    echo "The demo stops: exit code $expected was expected, this was $status." >&2
    exit 1
  fi
}

# Starts a server of the tests, and waits until it has written its ports.
serve() {
  local kind=$1 waited=0
  shift
  python -m tests.servers "$kind" --port-file "$demo/$kind.json" "$@" &
  servers+=($!)
  until [ -e "$demo/$kind.json" ]; do
    if ! kill -0 "$!" 2>/dev/null || [ $((waited += 1)) -gt 300 ]; then
      echo "The $kind server did not start." >&2
      exit 1
    fi
    sleep 0.1
  done
}
port_of() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))["port"])' "$1"; }

part 'The stage: mail servers of this machine, and a copy of the example'
rm -rf "$demo"
mkdir -p "$demo"
cd server
serve smtp --folder "$demo/mail"
smtp_port=$(port_of "$demo/smtp.json")
echo "SMTP on 127.0.0.1:$smtp_port keeps what it gets in var/demo/mail."
imap_port=
if why=$(python -c 'from tests.servers.dovecot import why_not; print(why_not())') && [ -z "$why" ]; then
  serve dovecot
  imap_port=$(port_of "$demo/dovecot.json")
  echo "IMAP (Dovecot) on 127.0.0.1:$imap_port has the Sent folder."
else
  echo "Without a Sent folder: $why."
fi
cp -R app/mailer/examples "$demo/example"
example=../var/demo/example/campaign.json
edits="s/\"port\": 1025/\"port\": $smtp_port/; s/\"port\": 1143/\"port\": ${imap_port:-1143}/"
off='s/"enabled": true/"enabled": false/'
[ -n "$imap_port" ] || edits+="; /\"imap\": {/,/}/$off; /\"imap_append_sent\"/$off"
sed "$edits" app/mailer/examples/campaign.json >"$example"
echo "The example is in var/demo/example. Commands run in server/."

part 'The database, and a key to work with'
mm 0 init_db --with-dev-data
key=(--api-key dev-multimailer-api-key)

part 'The campaign file: everything wrong in it, at once'
mm 1 validate_campaign --campaign "$example" --check-files
mm 1 resolve_attachments --campaign "$example" --verbose
mm 1 build_messages --campaign "$example" --output-dir ../var/demo/build/messages

part 'One letter to a tester, who is not a member'
tester=(--campaign "$example" --to your.test.address@example.org)
mm 0 send_test_message "${tester[@]}" --dry-run --write-eml ../var/demo/build/test-message.eml
mm 0 send_test_message "${tester[@]}"

part 'Into the database: every letter is frozen'
mm 1 import_campaign --campaign "$example" "${key[@]}" --validate --build
mm 0 list_db_campaigns "${key[@]}"
id=$(python -m app.mailer.commands.list_db_campaigns "${key[@]}" --json |
  python -c 'import json, sys; print(json.load(sys.stdin)["campaigns"][0]["id"])')
campaign=(--campaign-id "$id" "${key[@]}")

part 'What needs a person'
mm 0 review_jobs "${campaign[@]}"
mm 0 review_jobs "${campaign[@]}" --accept --entry 0074 --entry 0075 \
  --reason 'The couple shares one mailbox; each gets a letter.'
mm 0 review_jobs "${campaign[@]}" --exclude --entry 0061 \
  --reason 'Two statements: the treasurer clarifies which one is right.'

part 'Queueing: first a rehearsal'
mm 0 queue_campaign "${campaign[@]}" --no-celery --dry-run
mm 0 queue_campaign "${campaign[@]}" --no-celery

part 'Sending: first a rehearsal'
mm 0 send_queued_jobs "${campaign[@]}" --dry-run
mm 0 send_queued_jobs "${campaign[@]}" --append-sent
printf '\nThe same once more, as somebody in doubt would do: nobody gets a second letter.\n'
mm 0 send_queued_jobs "${campaign[@]}"
mm 0 append_pending_sent "${campaign[@]}"

part 'The report'
mm 0 campaign_report "${campaign[@]}" --jobs-csv ../var/demo/build/campaign-jobs.csv
mm 0 email_campaign_report "${campaign[@]}" --to recipient@example.org --dry-run
mm 0 email_campaign_report "${campaign[@]}" --to recipient@example.org
mm 0 audit_log "${key[@]}" --limit 50

part 'The service: the same program, over HTTP'
port=$(python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
printf '\n$ uvicorn app.main:app --host 127.0.0.1 --port %s --no-proxy-headers\n' "$port"
python -m uvicorn app.main:app --host 127.0.0.1 --port "$port" --no-proxy-headers --log-level warning &
servers+=($!)
service=http://127.0.0.1:$port
waited=0
until python -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1])' "$service/health/ready" 2>/dev/null; do
  if ! kill -0 "$!" 2>/dev/null || [ $((waited += 1)) -gt 100 ]; then
    echo "The service did not start." >&2
    exit 1
  fi
  sleep 0.2
done
python ../scripts/demo_service.py "$service" "$example" ../var/demo/build/evidence.zip
mm 0 verify_evidence ../var/demo/build/evidence.zip
mm 0 verify_audit "${key[@]}"

part 'What really arrived'
python ../scripts/demo_check.py "$demo" ${imap_port:+--imap-port "$imap_port"}

part 'Where everything is'
cat <<END
var/demo/mail                     each message as the server got it (.eml), and for whom (.rcpt)
var/demo/build/messages           the letters as they were built for review
var/demo/build/campaign-jobs.csv  what became of each letter
var/demo/example                  the campaign: change it, and import it again
var/demo/build/evidence.zip       what proves the sent version, to anybody, without this program's database
var/demo/multimailer.db           the database, beside the blob store and the journal
The servers stop now. \`scripts/demo.sh\` begins anew. The service on this data, and its pages:

  cd server
  DATABASE_URL=$DATABASE_URL BLOB_DIR=$BLOB_DIR JOURNAL_DIR=$JOURNAL_DIR \\
    ../.venv/bin/uvicorn app.main:app --host 127.0.0.1 --port 8000 --no-proxy-headers
  http://127.0.0.1:8000/docs        (key: dev-multimailer-api-key; there is no WebUI yet)
END
