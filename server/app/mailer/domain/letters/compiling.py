"""Compiling a campaign: each template of the file is read once, its faults with their pointers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from app.mailer.domain.campaign import Campaign, MailboxSpec, Rule
from app.mailer.domain.campaign.json_text import escaped
from app.mailer.domain.campaign.template import Engine
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.entry import LocalFields
from app.mailer.domain.entries.fields import BadCell, read_cell
from app.mailer.domain.entries.garbled_text import garbled
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.compiled import (
    CompiledCampaign,
    CompiledRule,
    MailboxTemplate,
    Rows,
    TemplateTexts,
    Text,
)
from app.mailer.domain.letters.recipients import CombineFlags
from app.mailer.domain.mailbox import InvalidMailbox, Mailbox, parse_mailbox
from app.mailer.domain.templates.html_images import image_faults
from app.mailer.domain.templates.jinja import compile_jinja
from app.mailer.domain.templates.placeholders import (
    Declared,
    Problem,
    ProblemKind,
    Template,
    TemplateFailed,
    Values,
    compile_template,
    escape_html,
)
from app.mailer.domain.templates.stray_placeholders import key_of, stray_placeholders


@dataclass(frozen=True, slots=True)
class _PlainText:
    """A placeholder template as a `Text`."""

    template: Template
    escape: Callable[[str], str] | None = None

    @property
    def problems(self) -> Sequence[Problem]:
        return self.template.problems

    @property
    def names(self) -> frozenset[str]:
        return self.template.names

    @property
    def uses_rows(self) -> bool:
        return False

    def missing(self, values: Values, _rows: Rows, /) -> tuple[str, ...]:
        return self.template.missing(values)

    def render(self, values: Values, _rows: Rows, /) -> str:
        return self.template.render(values, self.escape)


def compile_campaign(campaign: Campaign, texts: TemplateTexts) -> CompiledCampaign:
    """Compile everything that holds a placeholder; what is wrong becomes issues with pointers."""
    compiler = _Compiler(campaign)
    template = campaign.template
    recipients = campaign.recipients
    zip_ = campaign.attachments.zip
    global_values = compiler.global_values()
    compiled = CompiledCampaign(
        campaign=campaign,
        declared=compiler.declared,
        global_values=global_values,
        subject=compiler.text(texts.subject, _pointer_of("subject", template.subject), html=False),
        text=compiler.text(texts.text, _pointer_of("text", template.text), html=False),
        html=compiler.html(texts.html, _pointer_of("html", template.html)),
        from_=(
            compiler.mailbox(recipients.from_, "/recipients/from", "invalid-sender")
            if recipients.from_ is not None
            else None
        ),
        reply_to=compiler.mailboxes(recipients.reply_to, "/recipients/reply_to", "invalid-sender"),
        to=compiler.mailboxes(recipients.to, "/recipients/to"),
        cc=compiler.mailboxes(recipients.cc, "/recipients/cc"),
        bcc=compiler.mailboxes(recipients.bcc, "/recipients/bcc"),
        rules=compile_rules(
            campaign.attachments.global_,
            "/attachments/global",
            compiler.template,
            own=False,
            secret_names=compiler.secret_names,
        ),
        headers=tuple(
            (name, compiler.template(value, f"/delivery/headers/{escaped(name)}"))
            for name, value in campaign.delivery.headers.items()
        ),
        zip_filename=(
            compiler.template(zip_.filename, "/attachments/zip/filename") if zip_.enabled else None
        ),
        zip_password=(
            compiler.template(zip_.password, "/attachments/zip/password")
            if zip_.enabled and zip_.password is not None
            else None
        ),
        local_fields=LocalFields(
            campaign.fields,
            given_globally=frozenset(name for name, text in global_values.items() if text),
            decisive=frozenset([zip_.only_if] if zip_.enabled and zip_.only_if else []),
        ),
        combine_flags=CombineFlags(
            reply_to=recipients.combine.reply_to,
            to=recipients.combine.to,
            cc=recipients.combine.cc,
            bcc=recipients.combine.bcc,
        ),
        test_recipients=compiler.test_recipients(),
        secret_names=compiler.secret_names,
        text_of=lru_cache(maxsize=256)(compiler.entry_subject),
        issues=compiler.issues,
    )
    compiled.issues.extend(compiled.judge([*compiler.strays, *_shared_copies(compiled)]))
    return compiled


def compile_rules(
    rules: Sequence[Rule],
    pointer: str,
    template: Callable[[str, str], Template],
    *,
    own: bool,
    secret_names: frozenset[str],
) -> tuple[CompiledRule, ...]:
    """Attachment rules of the campaign or of one entry; `template` compiles text at a pointer."""
    compiled = []
    for number, rule in enumerate(rules):
        place = f"{pointer}/{number}"
        base_dir = template(rule.base_dir, f"{place}/base_dir")
        pattern = template(rule.file_filter, f"{place}/file_filter")
        filename = template(rule.filename, f"{place}/filename") if rule.filename else None
        expect_text = tuple(
            template(text, f"{place}/expect_text/{index}")
            for index, text in enumerate(rule.expect_text)
        )
        named = [base_dir, pattern, *([filename] if filename else [])]
        secret_name = any(secret_names & each.names for each in named)
        compiled.append(
            CompiledRule(
                label=rule.label or rule.file_filter,
                pointer=place,
                rule=rule,
                base_dir=base_dir,
                pattern=pattern,
                filename=filename,
                expect_text=expect_text,
                own=own,
                confidential=secret_name or any(secret_names & each.names for each in expect_text),
                secret_name=secret_name,
            )
        )
    return tuple(compiled)


def compile_mailbox(
    spec: MailboxSpec, pointer: str, template: Callable[[str, str], Template]
) -> MailboxTemplate:
    """A mailbox of the campaign file, split where its angle bracket stands."""
    if not isinstance(spec, str):
        name = spec.get("name")
        return MailboxTemplate(
            template(name, f"{pointer}/name") if name else None,
            template(spec["email"], f"{pointer}/email"),
        )
    split = _NAME_AND_ADDRESS.fullmatch(spec)
    if split is None or "${" not in spec:
        return MailboxTemplate(None, template(spec, pointer))
    quoted = split["name"].strip().removeprefix('"').removesuffix('"')
    return MailboxTemplate(
        template(quoted, pointer) if quoted else None, template(split["address"].strip(), pointer)
    )


def jinja_not_allowed() -> Issue:
    """`jinja-not-allowed`, for a campaign that uses Jinja2 where its tenant may not."""
    return Issue(
        "jinja-not-allowed",
        CODES["jinja-not-allowed"].severity,
        "/template/engine",
        "This letter is a Jinja2 template, and those are not allowed here.",
        "Ask an administrator to allow Jinja2, or set `engine` to placeholders.",
    )


def problem_issue(problem: Problem, pointer: str, entry: str | None = None) -> Issue:
    """A fault in a template's source as an issue."""
    code = "unknown-placeholder" if problem.kind is ProblemKind.UNKNOWN_NAME else "bad-template"
    column = f", column {problem.column}" if problem.column else ""
    where = f" (line {problem.line}{column})" if problem.line > 1 else ""
    hint = problem.hint or "Correct the template there."
    return Issue(code, CODES[code].severity, pointer, problem.message + where, hint, entry)


def stray_issue(
    strays: Sequence[str], pointer: str, entry: str | None = None, *, secret: bool = False
) -> Issue:
    """What `stray_placeholders` found in one template as an issue; `secret`: it is a password."""
    named = "a placeholder" if secret else ", ".join(f"“{stray}”" for stray in strays[:5])
    return Issue(
        "stray-placeholder",
        CODES["stray-placeholder"].severity,
        pointer,
        f"The text has {named} of another engine or program; recipients would get just that.",
        "Write ${local::name}, or in texts of the engine jinja2 {{ local.name }}. If it is meant, "
        "`validation_policy.stray_placeholder` lets it pass.",
        entry,
    )


_NAME_AND_ADDRESS = re.compile(r"(?P<name>[^<>]*)<(?P<address>[^<>]*)>\s*")


class _Compiler:
    """Compiles one campaign's templates and gathers what is wrong in them."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self.issues: list[Issue] = []
        #: What the campaign's policy is to judge.
        self.strays: list[Issue] = []
        self.secret_names = frozenset(
            each.name for each in campaign.fields if each.type == "secret"
        )
        self.declared = Declared(
            local=frozenset(each.name for each in campaign.fields if each.is_local),
            global_=frozenset(each.name for each in campaign.fields if each.is_global),
            kinds={each.name: each.type for each in campaign.fields},
            called=frozenset(
                key_of(name) for each in campaign.fields for name in (each.name, each.heading)
            ),
        )

    def template(self, source: str, pointer: str) -> Template:
        template = compile_template(source, self.declared)
        self._note(template.problems, pointer)
        self._look_for_strays(source, "placeholders", pointer)
        return template

    def text(self, source: str | None, pointer: str, *, html: bool) -> Text | None:
        if source is None:
            return None
        if pointer.endswith("/path") and self._is_spoilt(source, pointer):
            return None
        text = self._compiled_text(source, html=html)
        self._note(text.problems, pointer)
        self._look_for_strays(source, self._campaign.template.engine, pointer)
        return text

    def html(self, source: str | None, pointer: str) -> Text | None:
        images = self._campaign.template.inline_images
        if source is not None:
            for cid, fault in image_faults(source, [image.cid for image in images]):
                place = [
                    f"/template/inline_images/{n}" for n, i in enumerate(images) if i.cid == cid
                ]
                self.issues.append(
                    Issue(
                        "broken-image",
                        CODES["broken-image"].severity,
                        place[0] if place else pointer,
                        fault,
                        "List each image under `inline_images`, and show it by <img "
                        'src="cid:…"> with its id.',
                    )
                )
        return self.text(source, pointer, html=True)

    def _look_for_strays(self, source: str, engine: Engine, pointer: str) -> None:
        if strays := stray_placeholders(source, engine, self.declared.called):
            secret = pointer == "/attachments/zip/password"
            self.strays.append(stray_issue(strays, pointer, secret=secret))

    def _is_spoilt(self, source: str, pointer: str) -> bool:
        """Whether a template's file cannot be what was meant; then that is noted."""
        if not source.strip():
            problem = Problem(ProblemKind.BAD_SYNTAX, "", 1, 0, "The file is empty.", "Fill it in.")
            self._note([problem], pointer)
            return True
        reason = garbled(source)
        if reason:
            hint = "Save the file as UTF-8 again from the program that wrote it."
            code = "wrong-encoding"
            self.issues.append(Issue(code, CODES[code].severity, pointer, reason, hint))
        return reason is not None

    def _compiled_text(self, source: str, *, html: bool) -> Text:
        if self._campaign.template.engine == "jinja2":
            return compile_jinja(source, self.declared, html=html)
        return _PlainText(compile_template(source, self.declared), escape_html if html else None)

    def entry_subject(self, source: str) -> Text:
        """An entry's own subject; its faults belong to the entry, so they are not noted here."""
        return self._compiled_text(source, html=False)

    def mailbox(self, spec: MailboxSpec, pointer: str, code: str) -> MailboxTemplate:
        template = compile_mailbox(spec, pointer, self.template)
        parts = (template.name, template.email)
        if any(part is not None and (part.names or part.problems) for part in parts):
            return template
        constant = self._constant(spec, pointer, code)
        return replace(template, constant=constant, broken=constant is None)

    def mailboxes(
        self, specs: Sequence[MailboxSpec], pointer: str, code: str = "invalid-recipient"
    ) -> tuple[MailboxTemplate, ...]:
        return tuple(
            self.mailbox(spec, f"{pointer}/{index}", code) for index, spec in enumerate(specs)
        )

    def test_recipients(self) -> tuple[Mailbox, ...] | None:
        if self._campaign.campaign.mode != "test":
            return None
        found = [
            self._constant(spec, f"/delivery/test_recipients/{index}", "invalid-recipient")
            for index, spec in enumerate(self._campaign.delivery.test_recipients)
        ]
        return tuple(mailbox for mailbox in found if mailbox is not None)

    def _constant(self, spec: MailboxSpec, pointer: str, code: str) -> Mailbox | None:
        try:
            return parse_mailbox(spec)
        except InvalidMailbox as error:
            # Wrong for every letter, so it blocks the campaign whatever the policy for entries is.
            hint = "Write it as name@example.org or Name <name@example.org>."
            self.issues.append(Issue(code, Severity.BLOCK, pointer, str(error), hint))
            return None

    def global_values(self) -> dict[str, str]:
        """The text of every global field that has a value or a default.

        A value that cannot be read as its field's type is an issue found with the shape.
        """
        values = {}
        for each in self._campaign.fields:
            if not each.is_global:
                continue
            raw = self._campaign.global_values.get(each.name)
            raw = each.default if raw is None else raw
            try:
                values[each.name] = "" if raw is None else read_cell(each.type, raw, each.pattern)
            except BadCell:
                values[each.name] = ""
        return values

    def _note(self, problems: Sequence[Problem], pointer: str) -> None:
        self.issues.extend(problem_issue(problem, pointer) for problem in problems)


def _pointer_of(part: str, source: object) -> str:
    return f"/template/{part}" if isinstance(source, str) else f"/template/{part}/path"


def _same_for_all(template: MailboxTemplate, compiled: CompiledCampaign) -> Mailbox | None:
    """The mailbox that every entry gets from the template, or None where they differ."""
    if template.constant is not None or template.email.uses_local:
        return template.constant
    try:
        return parse_mailbox(template.email.render(Values(global_=compiled.global_values)))
    except (InvalidMailbox, TemplateFailed):
        return None  # said for each entry


def _shared_copies(compiled: CompiledCampaign) -> list[Issue]:
    """Global copies outside the sender's domain, which would get everybody's letter."""
    sender = _same_for_all(compiled.from_, compiled) if compiled.from_ is not None else None
    if sender is None:
        return []
    copies = [
        (f"/recipients/{name}/{index}", _same_for_all(template, compiled))
        for name, templates in (("cc", compiled.cc), ("bcc", compiled.bcc))
        for index, template in enumerate(templates)
    ]
    return [
        Issue(
            "shared-copy",
            Severity.WARN,
            pointer,
            f"{copy.address} is outside {sender.domain} and gets a copy of everybody's letter.",
            "Take it out, unless they may read every letter of this campaign.",
        )
        for pointer, copy in copies
        if copy is not None and copy.domain != sender.domain
    ]
