from __future__ import annotations

import pytest

from app.mailer.domain.campaign.template import Engine
from app.mailer.domain.templates.stray_placeholders import key_of, stray_placeholders

NAMES = frozenset(map(key_of, ["name", "member_no", "Vorname"]))


@pytest.mark.parametrize(
    ("engine", "source", "stray"),
    [
        ("placeholders", "Dear {{name}}, {{ local.nope }}", ["{{name}}", "{{ local.nope }}"]),
        ("placeholders", "{% if x %}a{% endif %}", ["{% if x %}", "{% endif %}"]),
        ("placeholders", "Dear {name}, {Name} {Member No}", ["{name}", "{Name}", "{Member No}"]),
        ("placeholders", "$<b>{local::name}</b>", ["{local::name}"]),
        ("placeholders", "Dear «Vorname» and &laquo;Vorname&raquo;", ["«Vorname»"]),
        ("placeholders", "&lt;&lt;name&gt;&gt; %name%", ["<<name>>", "%name%"]),
        ("placeholders", "Dear ${name} and ${local::name}, $${name}", []),
        ("placeholders", "{color: red} {other} «other» 5%, 6% {}", []),
        ("jinja2", "Dear ${name} ${local::nope}", ["${name}", "${local::nope}"]),
        ("jinja2", "Dear {name}", ["{name}"]),
        ("jinja2", "{{ local.name }} {%if name%}{% endif %} costs ${{ local.price }}", []),
        ("jinja2", "{{name}}", []),  # is said as an unknown name
    ],
)
def test_stray_placeholders(engine: Engine, source: str, stray: list[str]) -> None:
    assert stray_placeholders(source, engine, NAMES) == stray


def test_a_huge_source_takes_no_time() -> None:
    for piece in ("{", "{{", "«", "<<", "%", "${", "{%"):
        assert stray_placeholders(piece * 200_000, "placeholders", NAMES) == []
