"""The attachment rules of one entry, filled in."""

from __future__ import annotations

from collections.abc import Iterable

from app.mailer.domain.errors import UnsafePath
from app.mailer.domain.files.attachments import (
    RenderedRule,
    safe_base_dir,
    safe_pattern,
    safe_value,
)
from app.mailer.domain.letters.compiled import CompiledCampaign, CompiledRule
from app.mailer.domain.letters.compiling import compile_rules
from app.mailer.domain.letters.findings import Findings
from app.mailer.domain.letters.letter import Letter
from app.mailer.domain.templates.placeholders import escape_glob


def rendered_rules(compiled: CompiledCampaign, letter: Letter) -> tuple[RenderedRule, ...]:
    """The letter's attachment rules filled in; one that cannot be is an issue and left out."""
    check = _Rules(compiled, letter.entry)
    rules = tuple(rule for each in check.rules() if (rule := check.rendered_rule(each)) is not None)
    if letter.entry.active:
        letter.issues.extend(check.judged())
    return rules


class _Rules(Findings):
    """The work on one entry's rules."""

    def rules(self) -> Iterable[CompiledRule]:
        entry, compiled = self._entry, self._compiled
        if entry.rules is None:
            return compiled.rules
        own = compile_rules(
            entry.rules,
            f"{entry.pointer}/attachments",
            self._template,
            own=True,
            secret_names=compiled.secret_names,
        )
        if compiled.campaign.recipients.combine.attachments:
            return (*compiled.rules, *own)
        return own

    def rendered_rule(self, compiled_rule: CompiledRule) -> RenderedRule | None:
        if any(template.problems for template in compiled_rule.templates):
            return None
        rule, values = compiled_rule.rule, self._values
        pointer = compiled_rule.pointer
        what = f'The rule "{compiled_rule.label}"'
        paths = (compiled_rule.base_dir, compiled_rule.pattern)
        if missing := [name for template in paths for name in template.missing(values)]:
            self._missing_hard(missing, what, pointer)
            return None
        named = (compiled_rule.filename,) if compiled_rule.filename else ()
        for template in (*named, *compiled_rule.expect_text):
            self._note_missing(template.missing(values), f'the rule "{compiled_rule.label}"')
        self._report_missing()
        try:
            base_dir = self._rendered(compiled_rule.base_dir, what, pointer, safe_value)
            pattern = self._rendered(
                compiled_rule.pattern, what, pointer, lambda value: escape_glob(safe_value(value))
            )
            base_dir = base_dir and safe_base_dir(base_dir)
            pattern = pattern and safe_pattern(pattern)
        except UnsafePath as error:
            message = "It leaves the base folder." if compiled_rule.confidential else error.message
            self._add("path-outside-base", f"{what}: {message}", error.hint, pointer=pointer)
            return None
        names = [self._rendered(text, what, pointer) for text in named]
        expected = [self._rendered(text, what, pointer) for text in compiled_rule.expect_text]
        expect_text = tuple(text for text in expected if text is not None)
        if base_dir is None or pattern is None or None in (*names, *expected):
            return None
        return RenderedRule(
            label=compiled_rule.label,
            pointer=pointer,
            base_dir=base_dir,
            pattern=pattern,
            include_subdirs=rule.include_subdirs,
            required=rule.required,
            allow_multiple=rule.allow_multiple,
            on_missing=rule.on_missing,
            on_ambiguous=rule.on_ambiguous,
            filename=names[0] if names else None,
            expect_text=expect_text,
            personal=compiled_rule.personal,
            confidential=compiled_rule.confidential,
            secret_name=compiled_rule.secret_name,
            base_path=self._compiled.campaign.attachments.base_path,
        )
