"""What is found wrong with one entry, gathered before the campaign's policy is applied."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from app.mailer.domain.campaign.template import Engine
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.entry import Entry
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.compiled import CompiledCampaign
from app.mailer.domain.letters.compiling import problem_issue, stray_issue
from app.mailer.domain.letters.letter import values_of
from app.mailer.domain.templates.placeholders import (
    Template,
    TemplateFailed,
    compile_template,
    is_blank,
)
from app.mailer.domain.templates.stray_placeholders import stray_placeholders


class Findings:
    """The issues of one entry against its campaign, and how its templates are filled in."""

    def __init__(self, compiled: CompiledCampaign, entry: Entry) -> None:
        self._compiled = compiled
        self._entry = entry
        self._values = values_of(compiled, entry)
        self._missing: dict[str, list[str]] = {}
        self._hard: list[Issue] = []
        self.found: list[Issue] = []

    def judged(self) -> list[Issue]:
        """What was found, by the campaign's policy, but for what blocks under any policy."""
        return [*self._compiled.judge(self.found), *self._hard]

    def _template(self, source: str, pointer: str) -> Template:
        template = compile_template(source, self._compiled.declared)
        self.found.extend(
            problem_issue(problem, pointer, self._entry.id) for problem in template.problems
        )
        self._look_for_strays(source, "placeholders", pointer)
        return template

    def _look_for_strays(self, source: str, engine: Engine, pointer: str) -> None:
        if strays := stray_placeholders(source, engine, self._compiled.declared.called):
            self.found.append(stray_issue(strays, pointer, self._entry.id))

    def _note_missing(self, names: Iterable[str], where: str) -> None:
        for name in names:
            self._missing.setdefault(name, []).append(where)

    def _report_missing(self) -> None:
        """One issue for each empty value, however many texts use it."""
        for name, places in self._missing.items():
            if name in self._compiled.local_fields.needed or name in self._entry.unread:
                # Said already, where the entry's values were read.
                continue
            rows = self._entry.rows
            empty = sum(is_blank(row.get(name, "")) for row in rows)
            where = f" in {empty} of the group's {len(rows)} rows" if 0 < empty < len(rows) else ""
            self._add(
                "missing-value",
                f"“{name}” has no value{where}, and {listed(places)} {_uses(places)} it.",
                "Fill it in, or give the field a default.",
            )
        self._missing.clear()

    def _missing_hard(self, names: Sequence[str], what: str, pointer: str) -> None:
        """An empty value where it would change who gets what: it blocks whatever the policy is."""
        for name in dict.fromkeys(names):
            self._hard.append(
                Issue(
                    "missing-value",
                    Severity.BLOCK,
                    pointer,
                    f"{what} uses “{name}”, which has no value.",
                    "Fill it in: no address, path or password is ever used with a part missing.",
                    self._entry.id,
                )
            )

    def _add(self, code: str, message: str, hint: str = "", *, pointer: str | None = None) -> None:
        self.found.append(
            Issue(
                code,
                CODES[code].severity,
                pointer or self._entry.pointer,
                message,
                hint,
                self._entry.id,
            )
        )

    def _rendered(
        self,
        template: Template,
        what: str,
        pointer: str,
        escape: Callable[[str], str] | None = None,
    ) -> str | None:
        try:
            return template.render(self._values, escape)
        except TemplateFailed as error:
            self._failed(what, error, pointer)
            return None

    def _failed(self, what: str, error: TemplateFailed, pointer: str) -> None:
        self._add(
            "bad-template",
            f"{what[0].upper()}{what[1:]} cannot be filled in. {error}",
            "Correct the template, or the value that it fails on.",
            pointer=pointer,
        )


def listed(places: Sequence[str]) -> str:
    """Names as people list them: a, b and c."""
    unique = list(dict.fromkeys(places))
    return unique[0] if len(unique) == 1 else ", ".join(unique[:-1]) + " and " + unique[-1]


def _uses(places: Sequence[str]) -> str:
    return "uses" if len(set(places)) == 1 else "use"
