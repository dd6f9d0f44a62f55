"""Mail accounts as campaigns use them: passwords move in at import, and come out to their host."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from app.db.models import AuditEntry, CampaignVersion, MailAccount, Tenant, WorkflowState
from app.db.repositories import versions
from app.mailer.domain.campaign import Campaign, ResolvedServer
from app.mailer.domain.errors import CampaignInvalid, ConfigurationError, Conflict, MailerError
from app.mailer.domain.issues import EntryState
from app.mailer.services.account_servers import opened_password
from app.mailer.services.build_version import prepare_version
from app.mailer.services.import_campaign import keep_secrets
from app.mailer.services.private_hosts import private_host_issues
from app.mailer.services.server_access import SmtpOverrides, imap_access, smtp_access
from tests.integration.services.accounts.desk import change, delete, make
from tests.integration.services.pipeline.desk import NOW, codes, document, entry
from tests.integration.services.pipeline.office import Office

SMTP = {"host": "mail.example.org", "username": "u@example.org", "password": "smtp-hunter2"}
IMAP = {"host": "imap.example.org", "username": "u@example.org", "password": "imap-hunter2"}


def accounts(office: Office) -> list[MailAccount]:
    with office.sessions() as session:
        return list(session.scalars(select(MailAccount).order_by(MailAccount.name)))


def password_of(campaign: Campaign, server: str = "smtp") -> str | None:
    access = smtp_access(campaign, SmtpOverrides()) if server == "smtp" else imap_access(campaign)
    return access.password


def edit_config(office: Office, version_id: UUID, server: dict[str, Any], **values: Any) -> None:
    """What an editor does to a stored version."""
    with office.sessions() as session:
        version = versions.get(session, office.tenant_id, version_id)
        version.config = {**version.config, "server": server}
        for name, value in values.items():
            setattr(version, name, value)
        session.commit()


# -- passwords of imported files


def test_passwords_of_a_file_move_into_an_account_of_the_campaign(office: Office) -> None:
    imported = office.take(document(server={"smtp": SMTP, "imap": IMAP}))
    version = office.version(imported.version_id)
    assert version.secrets is None
    assert version.config["server"]["smtp"]["password"] == "secret:/server/smtp/password"
    (account,) = accounts(office)
    assert (account.name, account.campaign_id) == ("cards (imported)", imported.campaign_id)
    assert (account.smtp_host, account.smtp_port) == ("mail.example.org", 587)
    campaign = office.campaign(imported.version_id)
    assert password_of(campaign) == "smtp-hunter2"
    assert password_of(campaign, "imap") == "imap-hunter2"
    assert "hunter2" not in office.everything()
    assert b"hunter2" not in office.file_bytes()


def test_the_next_import_renews_it_and_older_versions_follow(office: Office) -> None:
    first = office.take(document(server={"smtp": SMTP}))
    second = office.take(document(server={"smtp": {**SMTP, "password": "newer-hunter2"}}))
    (account,) = accounts(office)
    assert account.revision == 2
    for imported in (first, second):
        assert password_of(office.campaign(imported.version_id)) == "newer-hunter2"
    with office.sessions() as session:
        actions = session.scalars(
            select(AuditEntry.action).where(AuditEntry.object_type == "mail_account")
        ).all()
    assert sorted(actions) == ["account.created", "account.updated"]


def test_a_file_that_came_out_of_here_changes_no_password(office: Office) -> None:
    first = office.take(document(server={"smtp": SMTP}))
    config = office.version(first.version_id).config
    second = office.take(config)
    assert accounts(office)[0].revision == 1
    assert password_of(office.campaign(second.version_id)) == "smtp-hunter2"


def test_a_reference_never_passes_for_a_secret(office: Office) -> None:
    made = document(
        fields=[{"name": "pin", "type": "secret", "scope": "global"}],
        global_values={"pin": "hunter2"},
        attachments={"zip": {"enabled": True, "password": "zip-hunter2"}},
    )
    config = office.version(office.take(made).version_id).config
    with pytest.raises(CampaignInvalid) as caught:
        office.take(config)
    assert {(each.code, each.pointer) for each in caught.value.issues} == {
        ("missing-value", "/global_values/pin"),
        ("missing-value", "/attachments/zip/password"),
    }


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({"host": "evil.example"}, None),
        ({"username": "other@example.org"}, None),
        ({"security": "plain"}, None),
        ({"security": "plain", "port": 587}, None),
        ({"security": "tls"}, "smtp-hunter2"),
        ({"host": "MAIL.example.org", "timeout_seconds": 5}, "smtp-hunter2"),
    ],
)
def test_the_password_goes_to_the_host_and_user_it_was_entered_for(
    office: Office, server: dict[str, Any], expected: str | None
) -> None:
    imported = office.take(document(server={"smtp": SMTP}))
    marked = {**SMTP, "password": "secret:/server/smtp/password", **server}
    edit_config(office, imported.version_id, {"smtp": marked})
    assert password_of(office.campaign(imported.version_id)) == expected


def test_another_campaign_cannot_help_itself_by_a_mark(office: Office) -> None:
    office.take(document(server={"smtp": SMTP}))
    marked = {**SMTP, "password": "secret:/server/smtp/password"}
    other = office.take(
        document(
            campaign={"id": "other", "name": "Other", "mode": "draft"}, server={"smtp": marked}
        )
    )
    assert password_of(office.campaign(other.version_id)) is None
    named = office.take(
        document(
            campaign={"id": "other", "name": "Other", "mode": "draft"},
            server={"account": "cards (imported)"},
        )
    )
    prepared = prepare_version(office.workshop(), office.actor, named.version_id)
    assert "unknown-account" in codes(prepared.issues)


def test_a_password_that_a_version_has_sealed_itself_still_works(office: Office) -> None:
    imported = office.take(document(server={"smtp": {**SMTP, "password": "new"}}))
    with office.sessions() as session:
        version = session.get_one(CampaignVersion, imported.version_id)
        keep_secrets(version, {"/server/smtp/password": "old-hunter2"}, office.box)
        session.execute(MailAccount.__table__.delete())  # type: ignore[attr-defined]
        session.commit()
    assert password_of(office.campaign(imported.version_id)) == "old-hunter2"


def test_a_name_that_is_taken_gets_a_number(office: Office) -> None:
    make(office, name="cards (imported)")
    office.take(document(server={"smtp": SMTP}))
    assert [each.name for each in accounts(office)] == ["cards (imported 2)", "cards (imported)"]


def test_the_sealed_password_opens_in_its_own_field_and_row_only(office: Office) -> None:
    one = make(office, imap_host="h", imap_username="u", imap_password="imap-hunter2")
    two = make(office, name="two")
    for source, target, field in ((one, one, "imap"), (one, two, "smtp")):
        sealed = source.smtp_password
        with office.sessions() as session:
            moved = session.get_one(MailAccount, target.id)
            setattr(moved, f"{field}_password", sealed)
            with pytest.raises(ConfigurationError):
                opened_password(moved, field, office.box)


# -- server.account


def test_an_account_gives_a_campaign_its_servers(office: Office) -> None:
    account = make(
        office,
        imap_host="imap.example.org",
        imap_username="u",
        imap_password="imap-hunter2",
        imap_sent_folder="Gesendet",
        per_minute=12.0,
        per_day=1440,
    )
    imported = office.take(document(server={"account": "office"}))
    campaign = office.campaign(imported.version_id)
    server = campaign.server
    assert isinstance(server, ResolvedServer)
    assert server.terms is not None
    assert (server.terms.id, server.terms.pace) == (account.id, 1.0)
    assert password_of(campaign) == "smtp-hunter2"
    assert password_of(campaign, "imap") == "imap-hunter2"
    assert server.imap is not None
    assert server.imap.sent_folder == "Gesendet"
    assert "hunter2" not in repr(campaign)
    assert prepare_version(office.workshop(), office.actor, imported.version_id).issues == []
    change(office, account.id, smtp_host="new.example.org")
    access = smtp_access(office.campaign(imported.version_id), SmtpOverrides())
    assert (access.host, access.password) == ("new.example.org", None)


def test_an_account_that_is_not_there_blocks(office: Office) -> None:
    with office.sessions() as session:
        rival = Tenant(slug="rival", name="Rival", created_at=NOW)
        session.add(rival)
        session.flush()
        session.add(
            MailAccount(
                id=uuid4(),
                tenant_id=rival.id,
                name="office",
                smtp_host="h",
                from_addresses=[],
                created_at=NOW,
                updated_at=NOW,
            )
        )
        session.commit()
    imported = office.take(document(server={"account": "office"}))
    prepared = prepare_version(office.workshop(), office.actor, imported.version_id)
    assert codes(prepared.issues) == ["unknown-account"]
    assert prepared.issues[0].pointer == "/server/account"
    assert prepared.blocked
    with pytest.raises(ConfigurationError, match="“office”"):
        smtp_access(office.campaign(imported.version_id), SmtpOverrides())


def test_servers_beside_an_account_are_wrong_and_get_nothing(office: Office) -> None:
    make(office)
    imported = office.take(
        document(server={"account": "office", "smtp": {"host": "evil.example", "username": "u"}})
    )
    prepared = prepare_version(office.workshop(), office.actor, imported.version_id)
    assert prepared.blocked
    assert "/server/account" in {each.pointer for each in prepared.issues}
    server = office.campaign(imported.version_id).server
    assert (server.smtp, server.imap) == (None, None)


def test_copies_need_an_imap_server_in_the_account(office: Office) -> None:
    make(office)
    imported = office.take(
        document(server={"account": "office"}, delivery={"imap_append_sent": {"enabled": True}})
    )
    prepared = prepare_version(office.workshop(), office.actor, imported.version_id)
    assert [(each.code, each.pointer) for each in prepared.issues] == [
        ("missing-key", "/server/account")
    ]


def test_a_sender_that_the_account_is_not_for(office: Office) -> None:
    make(office, from_addresses=["other@example.org", "@example.net"])
    usual = office.take(document(server={"account": "office"}))
    prepared = prepare_version(office.workshop(), office.actor, usual.version_id)
    assert [(each.code, each.pointer) for each in prepared.issues] == [
        ("sender-not-allowed", "/recipients/from")
    ]
    assert prepared.blocked
    own = office.take(
        document(
            server={"account": "office"},
            recipients={"from": "x@example.net"},
            entries={"inline": [entry(0), entry(1, **{"from": "boss@example.org"})]},
        )
    )
    prepared = prepare_version(office.workshop(), office.actor, own.version_id)
    assert prepared.issues == []
    good, bad = prepared.letters
    assert (good.state, bad.state) == (EntryState.READY, EntryState.BLOCKED)
    (issue,) = bad.issues
    assert (issue.code, issue.entry) == ("sender-not-allowed", "e1")
    assert issue.pointer == "/entries/inline/1/from"


@pytest.mark.parametrize("what", ["delete", "rename"])
def test_an_account_that_an_unfinished_version_names_stays(office: Office, what: str) -> None:
    account = make(office, name='of"fi%ce')
    other = make(office, name="of_fi_ce")
    imported = office.take(document(server={"account": 'of"fi%ce'}))

    def attempt(account_id: UUID) -> None:
        if what == "delete":
            delete(office, account_id)
        else:
            change(office, account_id, name="renamed")

    with pytest.raises(Conflict, match="“cards” version 1"):
        attempt(account.id)
    attempt(other.id)
    with office.sessions() as session:
        version = session.get_one(CampaignVersion, imported.version_id)
        version.workflow_state = WorkflowState.COMPLETED
        session.commit()
    if what == "rename":
        delete(office, other.id)
    attempt(account.id)
    with office.sessions() as session:
        left = session.scalar(select(func.count()).select_from(MailAccount))
    assert left == (0 if what == "delete" else 1)


def test_the_account_of_an_import_stays_while_its_campaign_needs_it(office: Office) -> None:
    imported = office.take(document(server={"smtp": SMTP}))
    (account,) = accounts(office)
    with pytest.raises(Conflict):
        delete(office, account.id)
    edit_config(office, imported.version_id, {"smtp": SMTP}, workflow_state=WorkflowState.CANCELLED)
    delete(office, account.id)
    assert accounts(office) == []


# -- private networks


def test_a_campaign_that_came_by_the_api_may_not_lead_into_a_private_network(
    office: Office,
) -> None:
    def refuse(host: str) -> None:
        if host == "10.0.0.1":
            raise MailerError(f"“{host}” leads into a private network.", "Ask the operator.")

    workshop = replace(office.workshop(), refuse_private=refuse)
    server = {"smtp": {"host": "10.0.0.1"}, "imap": {"host": "10.0.0.1", "enabled": False}}
    imported = office.take(document(server=server))
    assert prepare_version(workshop, office.actor, imported.version_id).issues == []
    edit_config(office, imported.version_id, server, is_confined=True)
    campaign = office.campaign(imported.version_id)
    found = private_host_issues(campaign, refuse)
    assert [(each.code, each.pointer) for each in found] == [
        ("private-host", "/server/smtp/host"),
        ("private-host", "/server/imap/host"),
    ]


def test_whoever_named_the_host_decides_whether_it_is_confined(office: Office) -> None:
    imported = office.take(document(server={"smtp": SMTP, "imap": IMAP}))
    campaign = office.campaign(imported.version_id)
    assert not smtp_access(campaign, SmtpOverrides()).confined
    assert not imap_access(campaign).confined
    edit_config(office, imported.version_id, {"smtp": SMTP, "imap": IMAP}, is_confined=True)
    campaign = office.campaign(imported.version_id)
    assert smtp_access(campaign, SmtpOverrides()).confined
    assert imap_access(campaign).confined
    assert not smtp_access(campaign, SmtpOverrides(host="127.0.0.1")).confined
    make(office)
    named = office.take(document(server={"account": "office"}))
    assert smtp_access(office.campaign(named.version_id), SmtpOverrides()).confined
