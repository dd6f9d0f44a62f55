from __future__ import annotations

import time

import pytest

from app.mailer.domain.templates.html_images import image_faults


@pytest.mark.parametrize(
    ("html", "cids", "faults"),
    [
        ('<img src="cid:logo">', ["logo"], []),
        ("<IMG alt=x SRC='CID:logo'>", ["logo"], []),
        ('<td style="background: url(cid:logo)">', ["logo"], []),
        ('<img src="cid:a%40b">', ["a@b"], []),
        ('<img src="cid:lgoo">', ["logo"], [(None, "cid:lgoo"), ("logo", "does not show")]),
        ("<p>Hi</p>", ["logo"], [("logo", "does not show")]),
        ('<img src="cid:${local::logo}">', ["a", "b"], []),
        ('<img src="cid:{{ local.logo }}">', ["a", "b"], []),
        ('<img width="1" src="image001.png"><img src=image001.png>', [], [(None, "image001.png")]),
        ('<img src="file:///C:/logo.png">', [], [(None, "file:///C:/logo.png")]),
        ('<img src="https://example.org/x.png"><img src="data:image/png;base64,AA">', [], []),
        ('<img src="${global::logo_url}">', [], []),
        ('<img data-src="x.png" src="https://example.org/x.png">', [], []),
    ],
)
def test_image_faults(html: str, cids: list[str], faults: list[tuple[str | None, str]]) -> None:
    found = list(image_faults(html, cids))
    assert [cid for cid, _ in found] == [cid for cid, _ in faults]
    for (_, sentence), (_, says) in zip(found, faults, strict=True):
        assert says in sentence


def test_a_huge_source_takes_no_time() -> None:
    for piece in ("<img ", "cid:", "<img src"):
        list(image_faults(piece * 50_000, ["logo"]))
    begin = time.process_time()
    assert list(image_faults(f"<img src={' ' * 200_000}>", [])) == []
    assert time.process_time() - begin < 1
