"""The page that shows a letter's HTML: it looks like the letter, and does nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from app.mailer.adapters.letter_html import show_letter_html
from app.mailer.domain.errors import MailerError

_PICTURE = "data:image/png;base64,AAAA"
_IMAGES = {"logo": _PICTURE, "a b": "data:image/gif;base64,BBBB"}


def shown(html: str) -> str:
    """What stands between the page's own beginning and end."""
    document = show_letter_html(html, _IMAGES).document
    return document.partition("<body")[2].partition(">")[2].rpartition("</body>")[0].strip("\n")


@pytest.mark.parametrize(
    "html",
    [
        '<table width="600" cellpadding="0" align="center" bgcolor="#eeeeee"><tbody><tr>'
        '<td style="padding:4px" colspan="2" valign="top">Hi</td></tr></tbody></table>',
        "<style>p{color:red}@media (max-width:600px){p{font-size:20px}}</style><p>Hi</p>",
        '<center><font color="#336699" size="2" face="Arial">Hi</font></center>',
        '<h1 class="big" dir="rtl" lang="ar">مرحبا</h1>',
        '<p style="background:url(data:image/png;base64,AAAA)">a &amp; b &lt; c</p>',
    ],
)
def test_what_is_only_looks_stays(html: str) -> None:
    assert shown(html) == html


@pytest.mark.parametrize(
    ("html", "left"),
    [
        ("<script>alert(1)</script>Hi", "Hi"),
        ('<p onclick="alert(1)">Hi</p>', "<p>Hi</p>"),
        ('<meta http-equiv="refresh" content="0;url=https://x.example/">Hi', "Hi"),
        ('<base href="https://x.example/">Hi', "Hi"),
        ('<link rel="preconnect" href="https://x.example">Hi', "Hi"),
        ('<form action="https://x.example"><input name="a">Hi</form>', "Hi"),
        ('<iframe src="https://x.example">no</iframe>Hi', "Hi"),
        ('<img src="https://x.example/p.png" alt="A dog">', '<img alt="A dog">'),
        ('<img src="//x.example/p.png">', "<img>"),
        ('<img src="p.png">', "<img>"),
        ('<img srcset="https://x.example/2x.png 2x">', "<img>"),
        ('<td background="https://x.example/p.png">Hi</td>', "Hi"),
        ('<p style="background:url(https://x.example/p.png)">x</p>',
         '<p style="background:none">x</p>'),
        ("<style>@import 'https://x.example/a.css'; p{color:red}</style>",
         "<style>/* */ p{color:red}</style>"),
        ("<style>p{background:URL( 'https://x.example/a' )}</style>",
         "<style>p{background:none}</style>"),
    ],
)  # fmt: skip
def test_what_acts_or_asks_another_server_goes(html: str, left: str) -> None:
    assert shown(html) == left


def test_links_stay_for_the_eye_and_want_a_window_that_never_opens() -> None:
    assert shown('<a href="https://shop.example/?a=1&amp;b=2">Shop</a>') == (
        '<a href="https://shop.example/?a=1&amp;b=2" target="_blank" '
        'rel="noopener noreferrer">Shop</a>'
    )
    for scheme in (
        "javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "\u2028javascript:x",
        "/x",
    ):
        assert "href" not in shown(f'<a href="{scheme}">x</a>')


def test_images_of_the_letter_are_shown() -> None:
    assert shown('<img src="cid:logo">') == f'<img src="{_PICTURE}">'
    assert shown('<img src="CID:a%20b">') == '<img src="data:image/gif;base64,BBBB">'
    assert shown('<img src="cid:absent">') == "<img>"
    assert shown('<p style="background:url(cid:logo)">x</p>') == (
        f'<p style="background:url({_PICTURE})">x</p>'
    )
    assert f"url('{_PICTURE}')" in shown("<style>p{background:url('cid:logo')}</style>")
    assert f'background="{_PICTURE}"' in shown('<table background="cid:logo"></table>')


def test_what_is_left_out_is_counted() -> None:
    html = (
        '<img src="https://x.example/1"><p style="background:url(//x.example/2)">x</p>'
        "<style>@import url(https://x.example/3);</style><img src='cid:logo'>"
    )
    assert show_letter_html(html, _IMAGES).blocked == 3
    assert show_letter_html("<p>Hi</p>", {}).blocked == 0


def test_the_ends_of_what_is_taken_out_never_meet() -> None:
    for html in (
        "<style></sty@import x;le><img src=x onerror=alert(1)></style>",
        "<style></styurl(x)le><img src=x onerror=alert(1)></style>",
    ):
        assert "</style><img" not in shown(html)
        assert shown(html).count("</style>") == 1


def test_the_looks_of_the_whole_page_stay_and_nothing_else_of_it() -> None:
    html = (
        '<html dir="rtl" lang="ar" onclick="x"><head><title>T</title></head>'
        '<body bgcolor="#eee" style="margin:0;background:url(https://x.example)" onload="x" '
        'class="&quot;><script>">Hi</body></html>'
    )
    document = show_letter_html(html, {}).document
    assert '<html dir="rtl" lang="ar">' in document
    assert (
        '<body bgcolor="#eee" style="margin:0;background:none" '
        'class="&quot;&gt;&lt;script&gt;">\nHi\n</body>' in document
    )
    assert "<title>" not in document


def test_the_page_has_a_policy_of_its_own() -> None:
    document = show_letter_html("Hi", {}).document
    assert document.startswith("<!doctype html>")
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in document
    assert '<meta http-equiv="x-dns-prefetch-control" content="off">' in document


def test_hostile_html_takes_no_long_time() -> None:
    with pytest.raises(MailerError, match="too deeply"):
        show_letter_html("<div>" * 100_000, {})
    started = time.monotonic()
    many = " ".join(f"a{number}" for number in range(200_000))
    for html in (
        f"<p {many}>",
        f"</p {many}>",
        f"<p/{many.replace(' ', '/')}>",
        "<p " + " ".join(f"a{number}='>'" for number in range(100_000)) + ">",
        "<p " + "".join(f'a{number}=">"' for number in range(100_000)) + ">",
        f'<style><p a="</style><p {many}>',
        f'<!-- <p a=" --><p {many}>',
        f"<p title='<a b=\"'><p {many}>",
        f'<p a=\v"{many}">',
        f'<p a=\xa0"{many}">',
        "<a" * 200_000,
        '<a b="' * 100_000,
        "<body " + 'a="' * 100_000,
        '<body "' * 50_000,
    ):
        with pytest.raises(MailerError, match="too many attributes"):
            show_letter_html(html, {})
    for html in (
        "<p " + " ".join(f"a{number}='>'" for number in range(500)) + ">" + "word " * 100_000,
        '<img src="data:image/png;base64,' + "/a b" * 100_000 + '">',
        "<p title=\"<br>'\">it's a < b</p>" * 20_000,
        "<style>" + "url(" * 100_000 + "</style>",
        "<style>url(" + " " * 100_000 + "</style>",
        "<style>" + "@import " * 50_000 + "</style>",
        "<p>x" * 50_000,
        "<div>x</div>" * 50_000,
    ):
        show_letter_html(html, {})
    assert time.monotonic() - started < 20


def test_no_known_payload_leaves_a_script_or_a_handler() -> None:
    data = Path(__file__).parents[3] / "e2e/data"
    payloads = json.loads((data / "dompurify/payloads.json").read_text("utf-8"))
    assert len(payloads) > 100
    for payload in payloads:
        page = shown(payload).lower()
        assert "<script" not in page.partition("<style")[0], payload
        assert "javascript:" not in page or "href" not in page, payload
