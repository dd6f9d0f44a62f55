from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mailer.domain.templates.jinja import compile_jinja
from app.mailer.domain.templates.line_breaks import keep_line_breaks
from app.mailer.domain.templates.placeholders import Declared, Values


def rendered(source: str) -> str:
    template = compile_jinja(source, Declared(local=frozenset({"x"})))
    assert not template.problems, template.problems
    return template.render(Values({"x": "X"}))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Dear {% if local.x %}X{% endif %}\nHello", "Dear X\nHello"),
        ("Dear {% if local.x %}X{% endif %}\r\nHello", "Dear X\nHello"),
        ("{% if local.x %}\nX\n{% endif %}\nend", "X\nend"),
        ("  {% if local.x %}\n  X\n  {% endif %}\nend", "  X\nend"),
        ("{% for i in [1, 2] %}{{ i }}{% endfor %}\nend", "12\nend"),
        ("{% for i in [1, 2] %}\n{{ i }}{% if i %}!{% endif %}\n{% endfor %}\nend", "1!\n2!\nend"),
        ("{% if 1 %}{% if 1 %}\nX\n{% endif %}{% endif %}\nend", "X\nend"),
        ("A{# note #}\nB", "A\nB"),
        ("{# note #}\nB", "B"),
        ("A {% if 1\n and 1 %}\nB{% endif %}", "A \nB"),
        ("{% if 1\n and 1 %}\nB{% endif %}", "B"),
        ("A {% if 1 -%}\n B{% endif %}", "A B"),
        ("A {% if 1 +%}\nB{% endif %}", "A \nB"),
        ("A{% raw %}{% if %}\n{% endraw %}\nB", "A{% if %}\n\nB"),
        ("{{ local.x }}\n{{ local.x }}\n", "X\nX\n"),
        ("{{ '{%' }}\n{% if 1 %}\nX{% endif %}", "{%\nX"),
    ],
)
def test_only_blocks_alone_on_a_line_take_it_away(source: str, text: str) -> None:
    assert rendered(source) == text


@given(st.text(st.sampled_from("{%#}+- \r\nab"), max_size=60))
def test_it_only_ever_adds_a_plus(source: str) -> None:
    kept = keep_line_breaks(source)
    assert kept.count("\n") == source.count("\n")
    assert kept.replace("+", "") == source.replace("+", "")
