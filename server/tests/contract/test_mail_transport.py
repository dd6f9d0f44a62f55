"""What every `MailTransport` promises: the recording one, and SMTP with and without pipelining."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from app.mailer.adapters.recording import RecordingTransport
from app.mailer.adapters.smtp import SmtpTransport
from app.mailer.ports import (
    Envelope,
    MailTransport,
    RecipientReply,
    Reply,
    Security,
    ServerAccess,
    Stage,
    TransportFailure,
)
from tests.servers.smtp import SmtpServer

ANNA = Envelope("sender@example.org", ("anna@example.org",))
ANNA_AND_BERT = Envelope("sender@example.org", ("anna@example.org", "bert@example.org"))
ANNA_AND_CARL = Envelope("sender@example.org", ("anna@example.org", "carl@example.org"))
TEXT = b"Subject: x\r\n\r\nHello\r\n"
UNKNOWN = Reply(550, "5.1.1 unknown")


@dataclass
class Post:
    """A transport, and what has arrived at its other end: (envelope, text)."""

    transport: MailTransport
    arrived: Callable[[], list[tuple[Envelope, bytes]]]
    refuse_bert: Callable[[], None]

    def send(self, text: bytes = TEXT, envelope: Envelope = ANNA) -> Reply:
        self.transport.stage(envelope, len(text), [text])
        return self.transport.finish()


def _smtp(server: SmtpServer) -> Post:
    access = ServerAccess(server.host, server.port, Security.PLAIN, timeout_seconds=5)

    def arrived() -> list[tuple[Envelope, bytes]]:
        assert server.violations == []
        return [
            (Envelope(m.sender, m.recipients, "SMTPUTF8" in m.mail_options), m.data)
            for m in server.messages
        ]

    refusal = f"{UNKNOWN.code} {UNKNOWN.text}"
    return Post(SmtpTransport(access), arrived, lambda: server.add_to_script("RCPT", None, refusal))


def _recording() -> Post:
    transport = RecordingTransport(keep_content=True, refuse={ANNA_AND_BERT.recipients[1]: UNKNOWN})
    return Post(
        transport,
        lambda: [(sent.envelope, sent.content or b"") for sent in transport.sent],
        lambda: None,
    )


@pytest.fixture(params=["smtp", "smtp without pipelining", "recording"])
def post(request: pytest.FixtureRequest, start_smtp: Callable[..., SmtpServer]) -> Iterator[Post]:
    if request.param == "recording":
        made = _recording()
    else:
        made = _smtp(start_smtp(pipelining=request.param == "smtp"))
    yield made
    made.transport.abort()


def test_what_is_staged_arrives_only_when_finished(post: Post) -> None:
    staged = post.transport.stage(ANNA_AND_CARL, len(TEXT), [TEXT])
    assert [each.address for each in staged.recipients] == list(ANNA_AND_CARL.recipients)
    assert all(each.reply.code == 250 for each in staged.recipients)
    assert post.arrived() == []
    assert post.transport.finish().code == 250
    assert post.arrived() == [(ANNA_AND_CARL, TEXT)]


@pytest.mark.parametrize("end", ["abort", "close"])
def test_what_is_staged_and_given_up_never_arrives(post: Post, end: str) -> None:
    post.transport.stage(ANNA, len(TEXT), [TEXT])
    getattr(post.transport, end)()
    with pytest.raises(RuntimeError):
        post.transport.finish()
    post.send(b"another\r\n")
    assert post.arrived() == [(ANNA, b"another\r\n")]


def test_staging_again_gives_up_what_was_staged(post: Post) -> None:
    post.transport.stage(ANNA, len(TEXT), [TEXT])
    post.send(b"another\r\n")
    assert post.arrived() == [(ANNA, b"another\r\n")]


@pytest.mark.parametrize(
    "text",
    [
        b"\r\n",
        b".\r\n",
        b"..\r\n",
        b".\r\n.\r\n..\r\n...\r\n",
        b"a\r\n.\r\nMAIL FROM:<x@example.org>\r\n",
        b"ends in dots..\r\n",
        b"ends in a lone dot\r\n.\r\n",
        b".begins with a dot\r\n\r\n.hidden\r\n",
        b"x" * 998 + b"\r\n" + b"." * 998 + b"\r\n",
        (b"0123456789" * 7 + b"\r\n.\r\n") * 20_000,
    ],
    ids=range(10),
)
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_exactly_the_bytes_arrive(post: Post, text: bytes, step: int) -> None:
    if len(text) > 100_000:
        step = max(step, 1000)
    chunks = (text[at : at + step] for at in range(0, len(text), step))
    post.transport.stage(ANNA, len(text), chunks)
    assert post.transport.finish().code == 250
    assert post.arrived() == [(ANNA, text)]


def test_one_transport_carries_many_messages(post: Post) -> None:
    texts = [f"number {n}\r\n".encode() for n in range(20)]
    for text in texts:
        post.send(text)
    assert [text for _, text in post.arrived()] == texts


def test_a_refused_recipient_refuses_the_whole_message(post: Post) -> None:
    post.refuse_bert()
    with pytest.raises(TransportFailure) as caught:
        post.transport.stage(ANNA_AND_BERT, len(TEXT), [TEXT])
    failure = caught.value
    assert failure.stage is Stage.RCPT
    assert failure.reply == UNKNOWN
    assert [each.address for each in failure.recipients] == list(ANNA_AND_BERT.recipients)
    assert failure.recipients[0].reply.code == 250
    assert failure.recipients[1] == RecipientReply("bert@example.org", UNKNOWN)
    with pytest.raises(RuntimeError):
        post.transport.finish()
    post.send()
    assert post.arrived() == [(ANNA, TEXT)]


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (b"no end", 6),
        (b"a\nb\r\n", 5),
        (b"a\rb\r\n", 5),
        (b"a\n.\nMAIL FROM:<x@example.org>\r\n", 31),
        (b"a\r\n.\rRSET\r\n", 11),
        (b"too short\r\n", 12),
        (b"", 0),
    ],
)
def test_unsound_text_never_arrives(post: Post, text: bytes, size: int) -> None:
    with pytest.raises(TransportFailure) as caught:
        post.transport.stage(ANNA, size, [text])
    assert (caught.value.stage, caught.value.permanent_here) == (Stage.DATA, True)
    with pytest.raises(RuntimeError):
        post.transport.finish()
    post.send()
    assert post.arrived() == [(ANNA, TEXT)]


def test_a_reader_that_fails_leaves_nothing_behind(post: Post) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half a letter\r\n"
        raise OSError("the blob store is away")

    with pytest.raises(OSError, match="blob store"):
        post.transport.stage(ANNA, len(TEXT), broken())
    post.send()
    assert post.arrived() == [(ANNA, TEXT)]


def test_an_unsafe_address_is_refused_before_anything_is_said(post: Post) -> None:
    wicked = Envelope("sender@example.org", ("a@example.org>\r\nDATA\r\nRCPT TO:<b@example.org",))
    with pytest.raises(TransportFailure) as caught:
        post.transport.stage(wicked, len(TEXT), [TEXT])
    assert (caught.value.stage, caught.value.permanent_here) == (Stage.MAIL, True)
    assert post.arrived() == []


def test_an_address_outside_ascii(post: Post) -> None:
    envelope = Envelope("sender@example.org", ("jürgen@example.org",), needs_smtputf8=True)
    post.send("Grüße\r\n".encode(), envelope)
    assert post.arrived() == [(envelope, "Grüße\r\n".encode())]


def test_closing_is_harmless_at_any_time(post: Post) -> None:
    post.transport.close()
    post.transport.abort()
    post.send()
    post.transport.close()
    post.transport.close()
    post.send()
    assert len(post.arrived()) == 2
