from __future__ import annotations

from datetime import timedelta

from app.access.sessions import SessionTerms, csrf_token


def test_the_csrf_token_belongs_to_one_session_and_does_not_tell_it() -> None:
    token = csrf_token("ms_one")
    assert token == csrf_token("ms_one")
    assert token != csrf_token("ms_two")
    assert "ms_" not in token
    assert len(token) == 64


def test_a_use_is_noted_much_more_often_than_a_session_ends() -> None:
    for minutes in (1, 2, 60):
        terms = SessionTerms(timedelta(minutes=minutes), timedelta(hours=12))
        assert terms.noted_every <= terms.idle / 4
        assert terms.noted_every <= timedelta(minutes=1)
