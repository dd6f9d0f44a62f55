"""Letters to a tester: nobody else is in them, and a refusal is told as it was said."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from app.mailer.adapters.recording import RecordingTransport
from app.mailer.domain.campaign.shape import read_shape_of
from app.mailer.domain.errors import CampaignInvalid, MailerError
from app.mailer.domain.mailbox import Mailbox
from app.mailer.ports import (
    Archiver,
    CampaignFiles,
    Clock,
    Envelope,
    MailTransport,
    PdfText,
    Reply,
    Stage,
    Staged,
    TransportFailure,
)
from app.mailer.services.prepare import Prepared, prepare
from app.mailer.services.trial import NotTaken, Trial, build_trial, send_trial

_TESTER = Mailbox("tester", "example.net")


class _Noon:
    def now(self) -> datetime:
        return datetime(2026, 1, 2, 12, tzinfo=UTC)


def _quiet(_phase: str, _done: int, _total: int | None) -> None:
    pass


def _prepared(*entries: dict[str, Any], **parts: Any) -> Prepared:
    campaign, issues = read_shape_of(
        {
            "version": "1.0",
            "campaign": {"id": "cards", "name": "Cards"},
            "recipients": {
                "from": "sender@example.org",
                "cc": ["chief@example.org"],
                "bcc": ["archive@example.org"],
            },
            "template": {"subject": "Hello", "text": "Hello"},
            "entries": {"inline": list(entries)},
            **parts,
        }
    )
    assert campaign is not None, issues
    return prepare(
        campaign,
        cast("CampaignFiles", None),
        pdf_text=cast("PdfText", None),
        progress=_quiet,
        match=False,
    )


def _trial(prepared: Prepared, entry_id: str | None = None) -> Trial:
    return build_trial(
        prepared,
        cast("CampaignFiles", None),
        _TESTER,
        entry_id=entry_id,
        archive=cast("Archiver", None),
        clock=cast("Clock", _Noon()),
        progress=_quiet,
    )


_ADA = {"id": "ada", "to": ["ada@example.org"]}
_BOB = {"id": "bob", "to": ["bob@example.org"], "bcc": ["spy@example.org"]}


def test_the_tester_stands_in_the_place_of_everybody() -> None:
    trial = _trial(_prepared(_ADA, _BOB), "bob")
    recorder = RecordingTransport(keep_content=True)
    send_trial(trial, _TESTER, recorder)
    (sent,) = recorder.sent
    assert sent.envelope == Envelope("sender@example.org", ("tester@example.net",), False)
    assert sent.content is not None
    assert b"To: tester@example.net" in sent.content
    for other in (b"bob@", b"chief@", b"archive@", b"spy@", b"Bcc", b"Cc"):
        assert other not in sent.content


def test_the_first_letter_that_can_be_built_is_taken() -> None:
    broken = {"id": "broken", "to": ["nobody"]}
    asleep = {**_ADA, "id": "asleep", "active": False}
    assert _trial(_prepared(broken, asleep, _BOB)).letter.id == "bob"
    with pytest.raises(MailerError, match="No entry of this campaign can be built"):
        _trial(_prepared(broken, asleep))


def test_a_named_letter_that_cannot_be_built_says_why() -> None:
    prepared = _prepared({"id": "broken", "to": ["nobody"]}, {**_ADA, "active": False})
    with pytest.raises(CampaignInvalid) as refused:
        _trial(prepared, "broken")
    assert refused.value.issues[0].code == "invalid-recipient"
    with pytest.raises(MailerError, match="“ada” is inactive"):
        _trial(prepared, "ada")
    with pytest.raises(MailerError, match="no entry “cyd”"):
        _trial(prepared, "cyd")


def test_a_campaign_at_fault_has_no_test_letter() -> None:
    prepared = _prepared(_ADA, template={"subject": "${local::absent}", "text": "x"})
    with pytest.raises(CampaignInvalid):
        _trial(prepared)


class _Failing:
    """A transport that fails at one stage, or answers `reply` to the closing dot."""

    def __init__(self, stage: Stage | None = None, reply: Reply | None = None) -> None:
        self._stage = stage
        self._reply = reply
        self.closed = False

    def stage(self, envelope: Envelope, size: int, chunks: Iterable[bytes]) -> Staged:
        if self._stage is not None and self._stage is not Stage.DOT:
            raise TransportFailure(self._stage, "broken off.")
        return Staged(())

    def finish(self) -> Reply:
        if self._reply is None:
            raise TransportFailure(Stage.DOT, "no answer.")
        return self._reply

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    ("stage", "reply", "arrived"),
    [
        (Stage.CONNECT, None, False),
        (Stage.DATA, None, False),
        (Stage.DOT, None, True),
        (None, Reply(550, "no"), False),
        (None, Reply(451, "later"), False),
        (None, Reply(354, "what?"), True),
    ],
)
def test_only_where_the_answer_is_lost_may_it_have_arrived(
    stage: Stage | None, reply: Reply | None, arrived: bool
) -> None:
    transport = _Failing(stage, reply)
    with pytest.raises(NotTaken) as refused:
        send_trial(_trial(_prepared(_ADA)), _TESTER, cast("MailTransport", transport))
    assert ("may have arrived" in refused.value.hint) is arrived
    assert (refused.value.hint == "Nothing was sent.") is not arrived
    assert transport.closed


def test_the_words_of_a_refusal_are_told() -> None:
    refusing = RecordingTransport(refuse={_TESTER.address: Reply(550, "5.1.1 no such user")})
    with pytest.raises(NotTaken, match=r"550 5\.1\.1 no such user"):
        send_trial(_trial(_prepared(_ADA)), _TESTER, refusing)
