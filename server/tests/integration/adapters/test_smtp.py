"""The SMTP conversation against a real server that follows a script."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.domain.delivery.replies import Outcome, classify
from app.mailer.ports import Envelope, Reply, Security, ServerAccess, Stage, TransportFailure
from tests.servers.smtp import BUSY, DROP, GARBAGE, KEEP_AND_DROP, Act, SmtpServer

StartSmtp = Callable[..., SmtpServer]

ANNA = Envelope("sender@example.org", ("anna@example.org",))
THREE = Envelope("sender@example.org", ("a@example.org", "b@example.org", "c@example.org"))
TEXT = b"Subject: x\r\n\r\nHello\r\n"


_made: list[SmtpTransport] = []


@pytest.fixture(autouse=True)
def _abort_all() -> Iterator[None]:
    yield
    while _made:
        _made.pop().abort()


def _transport(server: SmtpServer, timeout: float = 5.0, **options: object) -> SmtpTransport:
    access = ServerAccess(server.host, server.port, Security.PLAIN, timeout_seconds=timeout)
    _made.append(SmtpTransport(access, **options))  # type: ignore[arg-type]
    return _made[-1]


def _send(transport: SmtpTransport, envelope: Envelope = ANNA, text: bytes = TEXT) -> Reply:
    transport.stage(envelope, len(text), [text])
    return transport.finish()


def _failing(transport: SmtpTransport, envelope: Envelope = ANNA) -> TransportFailure:
    with pytest.raises(TransportFailure) as caught:
        _send(transport, envelope)
    return caught.value


# -- the usual way


def test_commands_of_one_message_go_out_together_where_that_is_offered(
    start_smtp: StartSmtp,
) -> None:
    server = start_smtp(size_limit=1000)
    transport = _transport(server)
    _send(transport)
    _send(transport)
    transport.close()
    conversation = [
        f"MAIL FROM:<sender@example.org> SIZE={len(TEXT)}",
        "RCPT TO:<anna@example.org>",
        "DATA",
    ]
    assert server.log == ["EHLO [127.0.0.1]", *conversation, *conversation, "QUIT"]
    assert server.connections == 1
    assert server.violations == []


@pytest.mark.parametrize("pipelining", [True, False])
def test_more_recipients_than_a_pipeline_takes(start_smtp: StartSmtp, pipelining: bool) -> None:
    server = start_smtp(pipelining=pipelining)
    people = tuple(f"person{n}@example.org" for n in range(250))
    _send(_transport(server), Envelope("sender@example.org", people))
    assert server.wait_for(1)[0].recipients == people
    assert server.violations == []


def test_a_server_that_knows_only_helo(start_smtp: StartSmtp) -> None:
    server = start_smtp(esmtp=False)
    _send(_transport(server, helo_name="mailer.example.org"))
    assert server.log[:2] == ["EHLO mailer.example.org", "HELO mailer.example.org"]
    assert server.messages[0].mail_options == ()


@pytest.mark.parametrize("name", ["a b", "x\r\nMAIL", "", "a>"])
def test_a_helo_name_that_could_inject_is_refused(start_smtp: StartSmtp, name: str) -> None:
    with pytest.raises(ValueError, match="host name"):
        _transport(start_smtp(), helo_name=name).check()


def test_replies_of_several_lines(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"CONNECT": ["220 hello\nthere"], "DOT": ["250 2.0.0 kept\nas 7"]})
    assert _send(_transport(server)) == Reply(250, "2.0.0 kept\nas 7")


def test_control_characters_in_a_reply_do_not_reach_a_terminal(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DOT": [b"550 \x1b[31mred\xff\x07\r\n"]})
    assert _send(_transport(server)) == Reply(550, "?[31mred\ufffd?")


def test_a_connection_is_renewed_after_so_many_messages(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    transport = _transport(server, messages_per_connection=2)
    for _ in range(5):
        _send(transport)
    assert [message.connection for message in server.messages] == [1, 1, 2, 2, 3]
    assert server.log.count("QUIT") == 2


def test_a_large_message(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    text = b"Subject: x\r\n\r\n" + (b"A" * 76 + b"\r\n") * 60_000
    transport = _transport(server)
    chunks = [text[at : at + 1_000_000] for at in range(0, len(text), 1_000_000)]
    transport.stage(ANNA, len(text), chunks)
    transport.finish()
    assert server.messages[0].data == text


# -- SIZE and SMTPUTF8


def test_a_message_over_the_size_limit_is_not_offered(start_smtp: StartSmtp) -> None:
    server = start_smtp(size_limit=len(TEXT) - 1)
    failure = _failing(_transport(server))
    assert (failure.stage, classify(failure).outcome) == (Stage.MAIL, Outcome.REJECTED)
    assert f"{len(TEXT)} octets" in failure.message
    assert not any(line.startswith("MAIL") for line in server.log)


def test_size_0_is_no_limit(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"EHLO": ["250 hello\nSIZE 0"]})
    _send(_transport(server))
    assert server.messages[0].mail_options == (f"SIZE={len(TEXT)}",)


def test_smtputf8_is_asked_for_only_when_needed(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    transport = _transport(server)
    _send(transport)
    _send(transport, Envelope("sender@example.org", ("jürgen@example.org",), True))
    assert [message.mail_options for message in server.messages] == [(), ("SMTPUTF8",)]
    assert server.messages[1].recipients == ("jürgen@example.org",)


def test_smtputf8_not_offered_fails_the_one_message(start_smtp: StartSmtp) -> None:
    server = start_smtp(smtputf8=False)
    transport = _transport(server)
    failure = _failing(transport, Envelope("sender@example.org", ("jürgen@example.org",), True))
    assert (failure.permanent_here, classify(failure).outcome) == (True, Outcome.REJECTED)
    _send(transport)
    assert [message.recipients for message in server.messages] == [ANNA.recipients]


# -- refusals


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("step", "stage"), [("MAIL", Stage.MAIL), ("RCPT", Stage.RCPT), ("DATA", Stage.DATA)]
)
@pytest.mark.parametrize("reply", ["450 4.7.1 later", "550 5.7.1 never", BUSY])
def test_a_refusal_before_the_text(
    start_smtp: StartSmtp, pipelining: bool, step: str, stage: Stage, reply: Act | str
) -> None:
    server = start_smtp(pipelining=pipelining, script={step: [reply]})
    transport = _transport(server)
    failure = _failing(transport)
    assert failure.stage is stage
    assert failure.reply is not None
    text = reply.reply if isinstance(reply, Act) else reply
    assert f"{failure.reply.code} {failure.reply.text}" == text
    assert not failure.permanent_here
    _send(transport)
    assert len(server.wait_for(1)) == 1
    assert server.violations == []


@pytest.mark.parametrize("pipelining", [True, False])
def test_every_recipients_reply_is_kept(start_smtp: StartSmtp, pipelining: bool) -> None:
    script = {"RCPT": [None, "450 4.2.1 busy", "550 5.1.1 unknown"]}
    server = start_smtp(pipelining=pipelining, script=script)
    failure = _failing(_transport(server), THREE)
    assert [each.reply.code for each in failure.recipients] == [250, 450, 550]
    assert failure.reply == Reply(550, "5.1.1 unknown")
    assert "2 of 3 recipients refused (b@example.org: 450" in failure.message


def test_a_refused_recipient_costs_no_connection(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"RCPT": ["550 5.1.1 unknown"]})
    transport = _transport(server)
    _failing(transport)
    _send(transport)
    assert server.connections == 1
    assert "RSET" in server.log


def test_a_server_that_wants_the_text_though_a_recipient_was_refused_gets_none(
    start_smtp: StartSmtp,
) -> None:
    server = start_smtp(script={"RCPT": [None, "550 5.1.1 unknown"]})
    transport = _transport(server)
    started = time.monotonic()
    failure = _failing(transport, Envelope("s@example.org", ("a@example.org", "b@example.org")))
    assert failure.stage is Stage.RCPT
    assert time.monotonic() - started < 2  # nothing is said into the text, to which none answers
    _send(transport)
    assert [message.recipients for message in server.messages] == [ANNA.recipients]
    assert [message.connection for message in server.messages] == [2]


@pytest.mark.parametrize("reply", ["450 4.3.0 later", "552 5.3.4 too big", "250 2.0.0 ok"])
def test_the_reply_to_the_dot_is_returned_whatever_it_is(start_smtp: StartSmtp, reply: str) -> None:
    server = start_smtp(script={"DOT": [reply]})
    transport = _transport(server)
    assert _send(transport).code == int(reply[:3])
    _send(transport)
    assert server.connections == 1


def test_421_to_the_dot_is_a_reply(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DOT": [BUSY]})
    transport = _transport(server)
    assert _send(transport).code == 421
    assert server.messages == []
    _send(transport)
    assert server.connections == 2


def test_a_server_that_refuses_before_the_end_of_the_text_is_heard(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DATA": [b"354 go\r\n552 5.3.4 enough\r\n"]})
    with pytest.raises(TransportFailure) as caught:
        _transport(server).stage(ANNA, len(TEXT), [TEXT])
    assert caught.value.stage is Stage.DATA
    assert caught.value.reply == Reply(552, "5.3.4 enough")
    assert classify(caught.value).outcome is Outcome.REJECTED


# -- lost connections


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize(
    ("step", "stage"),
    [
        ("CONNECT", Stage.CONNECT),
        ("EHLO", Stage.CONNECT),
        ("MAIL", Stage.MAIL),
        ("RCPT", Stage.RCPT),
        ("DATA", Stage.DATA),
        ("DOT", Stage.DOT),
    ],
)
@pytest.mark.parametrize("act", [DROP, Act(drop=True, reset=True), GARBAGE], ids=str)
def test_a_lost_or_garbled_answer(
    start_smtp: StartSmtp, pipelining: bool, step: str, stage: Stage, act: Act
) -> None:
    server = start_smtp(pipelining=pipelining, script={step: [act]})
    transport = _transport(server)
    failure = _failing(transport)
    assert (failure.stage, failure.reply, failure.permanent_here) == (stage, None, False)
    assert f"{server.host}:{server.port}" in failure.message
    expected = Outcome.UNKNOWN if stage is Stage.DOT else Outcome.DEFERRED
    assert classify(failure).outcome is expected
    assert server.messages == []
    _send(transport)
    assert len(server.messages) == 1


def test_a_connection_lost_in_the_text(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"TEXT": [Act(drop=True, reset=True)]})
    transport = _transport(server)
    text = (b"x" * 70 + b"\r\n") * 300_000
    with pytest.raises(TransportFailure) as caught:
        transport.stage(ANNA, len(text), (text[at : at + 7200] for at in range(0, len(text), 7200)))
    assert (caught.value.stage, classify(caught.value).outcome) == (Stage.DATA, Outcome.DEFERRED)
    assert server.messages == []


def test_a_message_kept_without_a_word_is_unknown(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DOT": [KEEP_AND_DROP]})
    failure = _failing(_transport(server))
    assert classify(failure).outcome is Outcome.UNKNOWN
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("step", "stage"),
    [("CONNECT", Stage.CONNECT), ("EHLO", Stage.CONNECT), ("MAIL", Stage.MAIL)],
)
def test_a_slow_answer_ends_in_a_timeout(start_smtp: StartSmtp, step: str, stage: Stage) -> None:
    server = start_smtp(script={step: [Act(delay=30)]})
    started = time.monotonic()
    failure = _failing(_transport(server, timeout=0.2))
    assert 0.15 < time.monotonic() - started < 3
    assert failure.stage is stage
    assert "within 0.2 seconds" in failure.message


def test_the_dot_gets_more_patience_and_then_is_unknown(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DOT": [Act(delay=0.3), Act(delay=30)]})
    transport = _transport(server, timeout=0.05)
    assert _send(transport).code == 250
    started = time.monotonic()
    failure = _failing(transport)
    assert 0.9 < time.monotonic() - started < 4
    assert (failure.stage, failure.reply) == (Stage.DOT, None)


@pytest.mark.parametrize(
    "reply",
    [
        b"2",
        b"250" + b"x" * 20_000,
        b"250-" + b"x" * 8300 + b"\r\n250 ok\r\n",
        b"250-a\r\n" * 200,
        b"250-a\r\n550 b\r\n",
        b"999 what\r\n",
        b"250ok\r\n",
        b"\r\n",
    ],
    ids=range(8),
)
def test_an_answer_that_makes_no_sense_is_no_answer(start_smtp: StartSmtp, reply: bytes) -> None:
    server = start_smtp(script={"DOT": [Act(reply, close=True)]})
    failure = _failing(_transport(server))
    assert (failure.stage, failure.reply) == (Stage.DOT, None)


def test_354_to_the_dot_is_unknown(start_smtp: StartSmtp) -> None:
    failure = _failing(_transport(start_smtp(script={"DOT": ["354 go on"]})))
    assert classify(failure).outcome is Outcome.UNKNOWN


def test_an_unasked_yes_is_not_taken_for_the_reply_to_the_dot(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"DATA": [b"354 go\r\n250 2.0.0 kept\r\n"]})
    with pytest.raises(TransportFailure) as caught:
        _transport(server).stage(ANNA, len(TEXT), [TEXT])
    assert caught.value.stage is Stage.DATA
    assert classify(caught.value).outcome is Outcome.DEFERRED


# -- connections that grew old


def test_a_connection_that_the_server_closed_is_made_anew(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    transport = _transport(server)
    _send(transport)
    server.disconnect_all()
    _send(transport)
    assert [message.connection for message in server.messages] == [1, 2]


def test_a_connection_with_a_stray_answer_in_it_is_not_reused(start_smtp: StartSmtp) -> None:
    twice = Act(b"250 2.0.0 kept\r\n250 2.0.0 kept\r\n", keep=True)
    server = start_smtp(script={"DOT": [twice]})
    transport = _transport(server)
    _send(transport)
    _send(transport)
    assert [message.connection for message in server.messages] == [1, 2]


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("act", [BUSY, DROP])
def test_a_reused_connection_refused_at_mail_is_made_anew_once(
    start_smtp: StartSmtp, pipelining: bool, act: Act
) -> None:
    server = start_smtp(pipelining=pipelining, script={"MAIL": [None, act, None, act, act]})
    transport = _transport(server)
    _send(transport)
    _send(transport)
    assert [message.connection for message in server.messages] == [1, 2]
    assert _failing(transport).stage is Stage.MAIL
    assert server.connections == 3


def test_an_old_connection_lost_later_than_mail_is_not_hidden(start_smtp: StartSmtp) -> None:
    server = start_smtp(script={"RCPT": [None, DROP]})
    transport = _transport(server)
    _send(transport)
    assert _failing(transport).stage is Stage.RCPT
    assert server.connections == 1


def test_a_server_that_is_not_there(start_smtp: StartSmtp) -> None:
    server = start_smtp()
    transport = _transport(server)
    never = _transport(server)
    _send(transport)
    server.stop()
    failure = _failing(never)
    assert (failure.stage, failure.permanent_here) == (Stage.CONNECT, True)
    assert "Are host and port right?" in failure.message
    # One that answered before is being restarted, which passes.
    failure = _failing(transport)
    assert (failure.stage, classify(failure).outcome) == (Stage.CONNECT, Outcome.DEFERRED)


def test_a_host_that_does_not_exist() -> None:
    access = ServerAccess("no-such-host.invalid", 587, Security.PLAIN, timeout_seconds=5)
    with pytest.raises(TransportFailure) as caught:
        SmtpTransport(access).check()
    assert classify(caught.value).outcome is Outcome.ACCOUNT
    assert "“no-such-host.invalid”. Is the host name right?" in caught.value.message
