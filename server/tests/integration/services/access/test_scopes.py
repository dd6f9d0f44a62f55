"""Every service asks for its scope, and for no other."""

from __future__ import annotations

import pytest

from app.access.scopes import Scope
from app.mailer.domain.errors import AccessDenied
from tests.integration.services.access.conftest import Estate
from tests.integration.services.access.test_tenants import _rows

NEEDED = {
    "list_campaigns": Scope.CAMPAIGN_READ,
    "list_entries": Scope.AUDIT_READ,
    "campaign_report": Scope.CAMPAIGN_READ,
    "campaign_report of a version": Scope.CAMPAIGN_READ,
    "job_rows": Scope.CAMPAIGN_READ,
    "campaign_summary": Scope.CAMPAIGN_READ,
    "rest_rows": Scope.CAMPAIGN_READ,
    "verify_audit": Scope.AUDIT_READ,
    "export_evidence": Scope.AUDIT_READ,
    "open_reviews": Scope.CAMPAIGN_READ,
    "import_campaign": Scope.CAMPAIGN_WRITE,
    "prepare_version": Scope.CAMPAIGN_BUILD,
    "record_validation": Scope.CAMPAIGN_BUILD,
    "build_version": Scope.CAMPAIGN_BUILD,
    "decide accept": Scope.CAMPAIGN_APPROVE,
    "decide exclude": Scope.CAMPAIGN_APPROVE,
    "queue_campaign": Scope.CAMPAIGN_SEND,
    "rehearse_sending": Scope.CAMPAIGN_SEND,
    "send_campaign": Scope.CAMPAIGN_SEND,
    "rehearse_append": Scope.CAMPAIGN_SEND,
    "append_sent": Scope.CAMPAIGN_SEND,
    "reconcile": Scope.CAMPAIGN_SEND,
    "resolve retry": Scope.CAMPAIGN_SEND,
    "resolve cancel": Scope.CAMPAIGN_SEND,
    "resolve assume_sent": Scope.CAMPAIGN_SEND,
    "resolve resend": Scope.CAMPAIGN_SEND,
    "email_report": Scope.REPORTS_SEND,
}


def test_without_its_scope_no_service_does_anything(estate: Estate) -> None:
    calls = estate.calls()
    assert calls.keys() == NEEDED.keys()
    every = [scope for scope in Scope if scope is not Scope.EVERYTHING]
    before = _rows(estate)
    for name, call in calls.items():
        others = [scope for scope in every if scope is not NEEDED[name]]
        for scopes in ([], others, [scope.upper() for scope in others], [""]):
            estate.sent.clear()
            with pytest.raises(AccessDenied, match=NEEDED[name]):
                call(estate.actor(*scopes))
        assert _rows(estate) == before, name
        assert "a letter" not in estate.sent, name


@pytest.mark.parametrize("name", ["campaign_report", "rehearse_append", "queue_campaign"])
def test_with_its_scope_alone_a_service_works(estate: Estate, name: str) -> None:
    assert estate.calls()[name](estate.actor(NEEDED[name]))
