"""The check of one entry: its people, its texts, its rules, and every fault in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.mailer.domain.attachments import (
    RenderedRule,
    safe_base_dir,
    safe_pattern,
)
from app.mailer.domain.campaign import MailboxSpec
from app.mailer.domain.codes import CODES
from app.mailer.domain.compiled import (
    CompiledCampaign,
    CompiledRule,
    MailboxTemplate,
    Text,
    compile_mailbox,
    compile_rules,
    problem_issue,
)
from app.mailer.domain.entries import Entry
from app.mailer.domain.errors import UnsafePath
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letter import Letter, subject_of, values_of, wants_archive
from app.mailer.domain.mailbox import (
    HeaderInjection,
    InvalidMailbox,
    Mailbox,
    control_character,
    parse_mailbox,
)
from app.mailer.domain.placeholders import (
    Template,
    TemplateFailed,
    compile_template,
    escape_glob,
)
from app.mailer.domain.recipients import (
    Lists,
    OwnLists,
    combine,
    only_test_recipients,
)


def check_letter(compiled: CompiledCampaign, entry: Entry) -> Letter:
    """Everything about an entry that can be told without its files."""
    if not entry.active:
        return Letter(entry)
    return _Check(compiled, entry).letter()


def rendered_rules(compiled: CompiledCampaign, letter: Letter) -> tuple[RenderedRule, ...]:
    """The letter's attachment rules filled in; one that cannot be is an issue and left out."""
    check = _Check(compiled, letter.entry)
    rules = tuple(rule for each in check.rules() if (rule := check.rendered_rule(each)) is not None)
    if letter.entry.active:
        letter.issues.extend(check.judged())
    return rules


class _Check:
    """The work on one entry; what it finds is gathered before the policy is applied."""

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

    def letter(self) -> Letter:
        compiled, entry = self._compiled, self._entry
        self.found.extend(entry.issues)
        sender = self._sender()
        own = OwnLists(*(self._own_list(name) for name in ("reply_to", "to", "cc", "bcc")))
        global_ = Lists(*(self._global_list(name) for name in ("reply_to", "to", "cc", "bcc")))
        wanted = combine(compiled.combine_flags, global_, own)
        lists = wanted
        if compiled.test_recipients is not None:
            lists = only_test_recipients(wanted, compiled.test_recipients)
        self._recipients(sender, wanted, lists)
        self._texts()
        self._archive()
        self._report_missing()
        return Letter(entry, sender, wanted, lists, self.judged())

    # ------------------------------------------------------------ people

    def _sender(self) -> Mailbox | None:
        entry, compiled = self._entry, self._compiled
        if entry.from_ is not None:
            return self._mailbox(entry.from_, f"{entry.pointer}/from", "invalid-sender")
        if compiled.from_ is None:
            self._add(
                "invalid-sender",
                "There is no sender.",
                "Fill in `recipients.from`.",
                pointer="/recipients/from",
            )
            return None
        return self._filled(compiled.from_, "/recipients/from", "invalid-sender")

    def _own_list(self, name: str) -> tuple[Mailbox, ...] | None:
        specs = getattr(self._entry, name)
        if specs is None:
            return None
        code = "invalid-sender" if name == "reply_to" else "invalid-recipient"
        mailboxes = []
        for index, spec in enumerate(specs):
            pointer = self._entry.pointer
            if _is_inline(self._entry):
                pointer = f"{pointer}/{name}/{index}"
            mailbox = self._mailbox(spec, pointer, code)
            if mailbox is not None:
                mailboxes.append(mailbox)
        return tuple(mailboxes)

    def _global_list(self, name: str) -> tuple[Mailbox, ...]:
        code = "invalid-sender" if name == "reply_to" else "invalid-recipient"
        templates: tuple[MailboxTemplate, ...] = getattr(self._compiled, name)
        mailboxes = []
        for index, template in enumerate(templates):
            mailbox = self._filled(template, f"/recipients/{name}/{index}", code)
            if mailbox is not None:
                mailboxes.append(mailbox)
        return tuple(mailboxes)

    def _mailbox(self, spec: MailboxSpec, pointer: str, code: str) -> Mailbox | None:
        """A mailbox of the entry. Cells of a table are values: no placeholder works in them."""
        if not _is_inline(self._entry) or (isinstance(spec, str) and "${" not in spec):
            return self._parsed(spec, pointer, code)
        return self._filled(compile_mailbox(spec, pointer, self._template), pointer, code)

    def _filled(self, template: MailboxTemplate, pointer: str, code: str) -> Mailbox | None:
        if template.constant is not None or template.broken:
            return template.constant
        parts = [part for part in (template.name, template.email) if part is not None]
        if any(part.problems for part in parts):
            return None
        if missing := [name for part in parts for name in part.missing(self._values)]:
            self._missing_hard(missing, "The mailbox", pointer)
            return None
        email = template.email.render(self._values).strip()
        if template.name is None:
            return self._parsed(email, pointer, code)
        return self._parsed(
            {"email": email, "name": template.name.render(self._values)}, pointer, code
        )

    def _parsed(self, spec: MailboxSpec, pointer: str, code: str) -> Mailbox | None:
        try:
            return parse_mailbox(spec)
        except HeaderInjection as error:
            self._add(
                "header-injection",
                str(error),
                "Remove the line break from the value.",
                pointer=pointer,
            )
        except InvalidMailbox as error:
            self._add(
                code,
                str(error),
                "Write it as name@example.org or Name <name@example.org>.",
                pointer=pointer,
            )
        return None

    def _recipients(self, sender: Mailbox | None, wanted: Lists, lists: Lists) -> None:
        if not (wanted.to or wanted.cc or wanted.bcc):
            self._add(
                "no-recipient",
                "Nobody is left to send this letter to.",
                "Fill in an address, or set the entry inactive.",
            )
        everyone = (*([sender] if sender else []), *lists.to, *lists.cc, *lists.bcc)
        if unusual := [mailbox for mailbox in everyone if mailbox.needs_smtputf8]:
            self._add(
                "smtputf8-needed",
                f"The address {unusual[0].address} has letters outside ASCII before the @.",
                "It can be sent only by a server that offers SMTPUTF8.",
            )
        if len(wanted.to) > 1:
            self._add(
                "shared-copy",
                f"{len(wanted.to)} people stand in To and see one another and this letter.",
                "Give each an entry of their own, or use bcc.",
            )

    # ------------------------------------------------------------ texts

    def _texts(self) -> None:
        compiled, entry = self._compiled, self._entry
        subject = subject_of(compiled, entry)
        if entry.subject is not None and subject is not None:
            for problem in subject.problems:
                self.found.append(problem_issue(problem, f"{entry.pointer}/subject", entry.id))
        filled = self._fill(subject, "the subject", "/template/subject")
        if filled is not None and (named := control_character(filled)):
            self._injection("The subject", named)
        self._fill(compiled.text, "the text", "/template/text")
        self._fill(compiled.html, "the HTML", "/template/html")
        for name, template in compiled.headers:
            self._note_missing(template.missing(self._values), f"the header {name}")
            if named := control_character(template.render(self._values)):
                self._injection(f"The header {name}", named)

    def _fill(self, text: Text | None, what: str, pointer: str) -> str | None:
        if text is None or text.problems:
            return None
        self._note_missing(text.missing(self._values), what)
        try:
            return text.render(self._values, self._entry.rows)
        except TemplateFailed as error:
            self._add("bad-template", f"In {what}: {error}", pointer=pointer)
            return None

    def _injection(self, what: str, named: str) -> None:
        self._add(
            "header-injection",
            f"{what} would hold {named} from a value.",
            "Remove the line break or control character from the value.",
        )

    # ------------------------------------------------------------ files

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
            base_dir = safe_base_dir(compiled_rule.base_dir.render(values))
            pattern = safe_pattern(compiled_rule.pattern.render(values, escape_glob))
        except UnsafePath as error:
            self._add("path-outside-base", f"{what}: {error.message}", error.hint, pointer=pointer)
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
            filename=compiled_rule.filename.render(values) if compiled_rule.filename else None,
            expect_text=tuple(text.render(values) for text in compiled_rule.expect_text),
            personal=compiled_rule.personal,
            confidential=compiled_rule.confidential,
        )

    def _archive(self) -> None:
        compiled = self._compiled
        if not wants_archive(compiled, self._entry):
            return
        for template, what in (
            (compiled.zip_filename, "The archive's name"),
            (compiled.zip_password, "The archive's password"),
        ):
            if template is None or template.problems:
                continue
            if missing := template.missing(self._values):
                self._missing_hard(missing, what, "/attachments/zip")

    # ------------------------------------------------------------ findings

    def _template(self, source: str, pointer: str) -> Template:
        template = compile_template(source, self._compiled.declared)
        self.found.extend(
            problem_issue(problem, pointer, self._entry.id) for problem in template.problems
        )
        return template

    def _note_missing(self, names: Iterable[str], where: str) -> None:
        for name in names:
            self._missing.setdefault(name, []).append(where)

    def _report_missing(self) -> None:
        """One issue for each empty value, however many texts use it."""
        for name, places in self._missing.items():
            if name in self._compiled.local_fields.needed:
                # Said already, where the entry's values were read.
                continue
            self._add(
                "missing-value",
                f"“{name}” has no value, and {_listed(places)} {_uses(places)} it.",
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


def _is_inline(entry: Entry) -> bool:
    """Whether the entry stands in the campaign file, where placeholders work in its mailboxes."""
    return entry.pointer.startswith("/entries/inline/")


def _listed(places: Sequence[str]) -> str:
    unique = list(dict.fromkeys(places))
    return unique[0] if len(unique) == 1 else ", ".join(unique[:-1]) + " and " + unique[-1]


def _uses(places: Sequence[str]) -> str:
    return "uses" if len(set(places)) == 1 else "use"
