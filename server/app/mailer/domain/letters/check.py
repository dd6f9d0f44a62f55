"""The check of one entry: its people and its texts, and every fault in them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.mailer.domain.campaign import MailboxSpec
from app.mailer.domain.entries.entry import Entry
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.compiled import CompiledCampaign, MailboxTemplate, Text
from app.mailer.domain.letters.compiling import compile_mailbox, problem_issue
from app.mailer.domain.letters.findings import Findings, listed
from app.mailer.domain.letters.letter import Letter, subject_of, wants_archive
from app.mailer.domain.letters.recipients import (
    Lists,
    OwnLists,
    combine,
    only_test_recipients,
    shared_copies,
)
from app.mailer.domain.mailbox import (
    HeaderInjection,
    InvalidMailbox,
    Mailbox,
    control_character,
    parse_mailbox,
)
from app.mailer.domain.templates.placeholders import TemplateFailed, is_blank

_WRONG_ADDRESS = ("invalid-recipient", "header-injection", "bad-cell", "group-conflict")
_HELD = (Severity.BLOCK, Severity.REVIEW)


def check_letter(compiled: CompiledCampaign, entry: Entry) -> Letter:
    """Everything about an entry that can be told without its files."""
    if not entry.active:
        return Letter(entry)
    return _Check(compiled, entry).letter()


class _Check(Findings):
    """The work on one entry."""

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
        self._recipients(sender, own, global_, wanted, lists)
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
        email = self._rendered(template.email, "The mailbox", pointer)
        if email is None:
            return None
        hidden = any(part.names & self._compiled.secret_names for part in parts)
        if template.name is None:
            return self._parsed(email.strip(), pointer, code, hidden=hidden)
        name = self._rendered(template.name, "The mailbox", pointer)
        if name is None:
            return None
        spec: MailboxSpec = {"email": email.strip(), "name": name}
        return self._parsed(spec, pointer, code, hidden=hidden)

    def _parsed(
        self, spec: MailboxSpec, pointer: str, code: str, *, hidden: bool = False
    ) -> Mailbox | None:
        """`hidden`: it holds a secret, which no message may repeat."""
        unsaid = "A mailbox that holds a secret value is not a mail address." if hidden else ""
        try:
            return parse_mailbox(spec)
        except HeaderInjection as error:
            message = unsaid or str(error)
            hint = "Remove the line break from the value."
            if code == "invalid-sender":
                # Under any policy: there is no letter without its sender.
                self._hard.append(
                    Issue(
                        "header-injection",
                        Severity.BLOCK,
                        pointer,
                        message,
                        hint,
                        self._entry.id,
                    )
                )
            else:
                self._add("header-injection", message, hint, pointer=pointer)
        except InvalidMailbox as error:
            self._add(
                code,
                unsaid or str(error),
                "Write it as name@example.org or Name <name@example.org>.",
                pointer=pointer,
            )
        return None

    def _recipients(
        self,
        sender: Mailbox | None,
        own: OwnLists,
        global_: Lists,
        wanted: Lists,
        lists: Lists,
    ) -> None:
        # Copies that every letter goes to are no recipients of this one.
        if not (wanted.to or own.cc or own.bcc):
            rest = " but the copies for everybody's letter" if wanted.cc or wanted.bcc else ""
            self._add(
                "no-recipient",
                f"Nobody is left to send this letter to{rest}.",
                "Fill in an address, or set the entry inactive.",
            )
            # An address with a mistake in it is none that is missing: to leave out who has no
            # address must not leave out who has a wrong one.
            judged = self._compiled.judge(self.found)
            if any(i.code in _WRONG_ADDRESS and i.severity in _HELD for i in judged):
                self._hard.append(replace(self.found.pop(), severity=Severity.BLOCK))
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
        # Warned of once for the campaign; what asks for more than that is asked of each letter.
        grave = self._compiled.severity_of("shared-copy") in (Severity.REVIEW, Severity.EXCLUDE)
        if grave and sender is not None:
            for copy in shared_copies(sender, global_, wanted).outside:
                self._add(
                    "shared-copy",
                    f"{copy.address} is outside {sender.domain} and gets a copy of this letter.",
                    "Take it out, unless they may read every letter of this campaign.",
                )

    # ------------------------------------------------------------ texts

    def _texts(self) -> None:
        compiled, entry = self._compiled, self._entry
        subject = subject_of(compiled, entry)
        if entry.subject is not None and subject is not None:
            for problem in subject.problems:
                self.found.append(problem_issue(problem, self._subject_pointer(), entry.id))
            engine = compiled.campaign.template.engine
            self._look_for_strays(entry.subject, engine, self._subject_pointer())
        filled = self._fill(subject, "the subject", self._subject_pointer())
        if filled is not None and (named := control_character(filled)):
            self._injection("The subject", named, subject.names if subject else ())
        self._fill(compiled.text, "the text", "/template/text")
        self._fill(compiled.html, "the HTML", "/template/html")
        for name, template in compiled.headers:
            self._note_missing(template.missing(self._values), f"the header {name}")
            filled = self._rendered(template, f"The header {name}", "/delivery/headers")
            if filled is not None and (named := control_character(filled)):
                self._injection(f"The header {name}", named, template.names)

    def _fill(self, text: Text | None, what: str, pointer: str) -> str | None:
        if text is None or text.problems:
            return None
        missing = text.missing(self._values, self._entry.rows)
        self._note_missing(missing, what)
        try:
            filled = text.render(self._values, self._entry.rows)
        except TemplateFailed as error:
            self._failed(what, error, pointer)
            return None
        if is_blank(filled) and not missing:
            self._add(
                "bad-template",
                f"{what[0].upper()}{what[1:]} comes out empty.",
                "Correct the template, or the value that it depends on.",
                pointer=pointer,
            )
        return filled

    def _subject_pointer(self) -> str:
        own = self._entry.subject is not None
        return f"{self._entry.pointer}/subject" if own else "/template/subject"

    def _injection(self, what: str, named: str, names: Iterable[str]) -> None:
        values = self._values
        guilty = [
            f"“{name}”"
            for name in sorted(names)
            if control_character(values.local.get(name, "") + values.global_.get(name, ""))
        ]
        whose = f"the value of {listed(guilty)}" if guilty else "the template"
        self._add(
            "header-injection",
            f"{what} would hold {named} from {whose}.",
            "Remove the line break or control character.",
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
            else:
                self._rendered(template, what, "/attachments/zip")


def _is_inline(entry: Entry) -> bool:
    """Whether the entry stands in the campaign file, where placeholders work in its mailboxes."""
    return entry.pointer.startswith("/entries/inline/")
