"""The words of the OpenAPI document that belong to no single route."""

from __future__ import annotations

from typing import Any

DESCRIPTION = """
The service behind MultiMailer: personal letters with their own files, sent through your own mail
account, each exactly once.

**Signing in.** With a key (`X-API-Key`, or `Authorization: Bearer`), with a session's token
(`Authorization: Bearer`), or with the session's cookie, which needs `X-CSRF-Token` beside it for
every method but GET. A key goes before a token, a token before a cookie. What each route asks for
is its `x-scope`; `campaign:*` covers every scope that begins with `campaign:`, and `*` all.

**Errors** are problem details (RFC 9457): `type` is for programs and stays, `detail` and `hint` are
for people, `issues` are findings in a campaign, `errors` faults in the request, all at once; of
many findings an answer names the first, and `issue_count` says how many there are. What belongs to
another tenant is not there: 404.

**Lists** come in pages: give `next_cursor` as `cursor` for the next one. `sort` says by what they
are sorted, with `-` in front descending.

**Repeating.** A POST with an `Idempotency-Key` does nothing twice: the same key brings the same
answer again, for a day.

**Long work** (import, validate, build) is answered at once with 202 and an operation to watch.
""".strip()

SCHEMES: dict[str, dict[str, Any]] = {
    "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "An API key"},
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key or a session's token",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-multimailer",
        "description": "A browser's session; other methods than GET need `X-CSRF-Token`, too",
    },
}

TAGS = {
    "health": "Whether the service and what it depends on work.",
    "auth": "Signing in and out, and what is one's own: sessions, password, second factor.",
    "users": "People who sign in.",
    "groups": "People who share roles.",
    "roles": "Named sets of scopes.",
    "api-keys": "Keys for programs: shown once, kept as a hash.",
    "tenant": "What holds for the whole tenant.",
    "accounts": "Mail accounts: the servers that letters leave by. Passwords go in, and never out.",
    "files": "Files for campaigns: resumable uploads (tus 1.0.0), lists, downloads.",
    "schemas": "The shape of a campaign file.",
    "campaigns": "Campaigns: what is sent to whom.",
    "versions": "Versions of a campaign: edited, checked, approved; built, they change no more.",
    "builds": "Checking a version with its files, building its letters, trying one of them out.",
    "jobs": "The built letters, one for each entry: what each is, what was decided, how far it is.",
    "coverage": "Who gets which files, and which file nobody gets.",
    "delivery": "Queue, pause, resume, cancel; copies for the Sent folder.",
    "reports": "What became of the letters, for people, spreadsheets and as evidence.",
    "audit": "Who did what: one chain for each tenant.",
    "operations": "Long work: how far it is, and how it ended.",
}

#: Parameters that several routes share.
PARAMETERS = {
    "campaign_id": "The campaign's `id`",
    "version_id": "The version's `id`",
    "job_id": "The job's `id`",
    "account_id": "The mail account's `id`",
    "user_id": "The user's `id`",
    "group_id": "The group's `id`",
    "role_id": "The role's `id`",
    "key_id": "The API key's `id`",
    "session_id": "The session's `id`",
    "upload_id": "The upload's `id`",
    "file_id": "The file's `id`",
    "operation_id": "The operation's `id`",
    "action": "What was done, as in the entries",
    "object_type": "The kind of thing that it was done to",
    "object_id": "The `id` of the thing that it was done to",
    "actor_id": "The `id` of the key or user who did it",
    "severity": "How grave the issue is",
    "code": "The issue's code (docs/issue-codes.md)",
    "build_status": "What checking and building came to; any of these",
    "send_status": "How far the letter is; any of these",
    "imap_status": "How far its copy for the Sent folder is; any of these",
    "decision": "What a person decided",
    "position": "The place in the message, from 0",
    "kind": "The kind of work",
    "status": "Where the work stands",
    "is_active": "Whether they may sign in",
    "sort": "What the list is sorted by; with `-` in front descending",
}

#: What values of a format look like.
EXAMPLES = {
    "uuid": "0a4c1a6e-52a3-4a0e-9d4f-1c5d1b5a7e10",
    "date-time": "2026-11-24T09:30:00Z",
    "email": "ada@example.org",
}
