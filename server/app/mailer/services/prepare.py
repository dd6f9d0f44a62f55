"""Prepare a campaign: read what it refers to, check every entry, match every file.

What comes out is the whole truth before sending: each entry's recipients, files and faults, and
the faults of no one entry. Nothing is written anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from zoneinfo import available_timezones

from app.mailer.domain.campaign import Campaign, FileText, ResolvedServer
from app.mailer.domain.campaign.check import check_campaign
from app.mailer.domain.campaign.shape import read_shape
from app.mailer.domain.codes import CODES
from app.mailer.domain.entries.columns import plan_columns
from app.mailer.domain.entries.entry import Entry, check_ids, entries_from_inline, named_source
from app.mailer.domain.entries.rows import entries_from_rows
from app.mailer.domain.errors import CampaignInvalid
from app.mailer.domain.files.claims import FileUse
from app.mailer.domain.issues import EntryState, Issue, Severity
from app.mailer.domain.letters.check import check_letter
from app.mailer.domain.letters.compiled import CompiledCampaign, TemplateTexts
from app.mailer.domain.letters.compiling import compile_campaign, jinja_not_allowed
from app.mailer.domain.letters.letter import Letter
from app.mailer.domain.letters.senders import check_senders
from app.mailer.ports import CampaignFiles, FileFault, FileTree, PdfText, Progress
from app.mailer.services.match_files import file_issue, match_files

#: Progress is told once for so many entries.
STEP = 200


@dataclass(slots=True)
class Prepared:
    """A campaign with all its letters. `tree` and `uses` are set once the files were matched.

    `files` is where all was read from, and the tree still is. `source_columns` are those of the
    table that entries came from. `revision` is that of the
    stored version which this was made of, so that nothing else is built by it.
    """

    campaign: Campaign
    compiled: CompiledCampaign
    letters: list[Letter] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    files: CampaignFiles | None = None
    tree: FileTree | None = None
    uses: list[FileUse] = field(default_factory=list)
    source_columns: list[str] | None = None
    revision: int | None = None

    @property
    def blocked(self) -> bool:
        """Whether the campaign itself is at fault, so that no letter of it can be built."""
        return any(issue.severity is Severity.BLOCK for issue in self.issues)

    def summary(self) -> dict[str, int]:
        """How many entries are in each of the six states."""
        counts = Counter(letter.state for letter in self.letters)
        return {state.value: counts[state] for state in EntryState}

    @property
    def has_findings(self) -> bool:
        """Whether a person has something to do before every active entry can be sent."""
        attention = {EntryState.BLOCKED, EntryState.NEEDS_REVIEW}
        return (
            self.blocked
            or any(issue.severity is Severity.REVIEW for issue in self.issues)
            or any(letter.state in attention for letter in self.letters)
        )

    @property
    def found(self) -> list[Issue]:
        """Everything that is wrong, in the campaign and in its letters."""
        return [*self.issues, *(issue for letter in self.letters for issue in letter.issues)]

    def refuse_if_blocked(self) -> None:
        """Raises `CampaignInvalid` where the campaign itself is at fault."""
        blocking = [issue for issue in self.issues if issue.severity is Severity.BLOCK]
        if blocking:
            raise CampaignInvalid(blocking)


def read_campaign(text: str | bytes) -> Campaign:
    """The campaign of a file's content; raises `CampaignInvalid` with everything wrong in it."""
    campaign, issues = read_shape(text)
    if campaign is None:
        raise CampaignInvalid(issues)
    return campaign


def prepare_part(
    campaign: Campaign | None,
    issues: Sequence[Issue],
    prepare_one: Callable[[Campaign], Prepared],
) -> Prepared:
    """Prepare what `shape.read_partly` could read, by `prepare` with all that it takes besides.

    Nothing is made of a file whose shape is wrong: `CampaignInvalid` has what is wrong in it and,
    as far as that can be seen, in the rest.
    """
    if campaign is None:
        raise CampaignInvalid(issues)
    prepared = prepare_one(campaign)
    if issues:
        raise CampaignInvalid([*issues, *prepared.found])
    return prepared


def prepare(
    campaign: Campaign,
    files: CampaignFiles,
    *,
    pdf_text: PdfText,
    progress: Progress,
    match: bool = True,
    jinja_allowed: bool = True,
) -> Prepared:
    """Check a campaign and its entries; with `match` its attachments and images too.

    Where Jinja2 is not allowed, nothing of a campaign that uses it is compiled or rendered.
    """
    if campaign.template.engine == "jinja2" and not jinja_allowed:
        return _without_jinja(campaign)
    zones = available_timezones() if campaign.delivery.send_window else None
    found = check_campaign(campaign, time_zones=zones)
    compiled = compile_campaign(campaign, _texts(campaign, files, found))
    issues = [*compiled.judge(found), *compiled.issues]
    prepared = Prepared(campaign, compiled, issues=issues, files=files)

    entries = list(_counted(_entries(prepared, files), "Reading recipients", progress))
    check_ids(entries)
    if not entries and not prepared.blocked:
        issues.append(
            Issue(
                "no-entries",
                CODES["no-entries"].severity,
                "/entries",
                "The campaign has no recipients.",
                "Add entries under `entries.inline`, or a table under `entries.source`.",
            )
        )
    for number, entry in enumerate(entries):
        prepared.letters.append(check_letter(compiled, entry))
        if number % STEP == 0:
            progress("Checking recipients", number, len(entries))
    progress("Checking recipients", len(entries), len(entries))
    server = campaign.server
    if isinstance(server, ResolvedServer) and server.terms is not None:
        usual = compiled.from_.constant if compiled.from_ is not None else None
        issues.extend(check_senders(server.terms, usual, prepared.letters))
    _find_duplicates(prepared)
    if match:
        matched = match_files(
            compiled,
            prepared.letters,
            files,
            issues,
            pdf_text=pdf_text,
            progress=progress,
        )
        if matched is not None:
            prepared.tree, prepared.uses = matched.tree, matched.uses
    return prepared


def _without_jinja(campaign: Campaign) -> Prepared:
    compiled = compile_campaign(campaign, TemplateTexts(None, None, None))
    found = compiled.judge(check_campaign(campaign))
    return Prepared(campaign, compiled, issues=[jinja_not_allowed(), *found])


def _texts(campaign: Campaign, files: CampaignFiles, issues: list[Issue]) -> TemplateTexts:
    """The template with its files read."""
    found: dict[str, str | None] = {}
    template = campaign.template
    for part, source in (
        ("subject", template.subject),
        ("text", template.text),
        ("html", template.html),
    ):
        found[part] = None
        if not isinstance(source, FileText):
            found[part] = source
            continue
        try:
            text = files.text(source.path, source.encoding)
        except FileFault as fault:
            issues.append(file_issue(fault, f"/template/{part}/path"))
        else:
            # Editors end a file with a line break, which no subject can hold.
            found[part] = text.rstrip("\r\n") if part == "subject" else text
    return TemplateTexts(**found)


def _entries(prepared: Prepared, files: CampaignFiles) -> Iterator[Entry]:
    """The entries, those of the source first."""
    compiled = prepared.compiled
    spec = prepared.campaign.entries
    # What kind of table a source is, is checked with the rest of the file.
    if spec.source is not None and spec.source.kind is not None:
        table = files.table(spec.source)
        if table.header:
            prepared.source_columns = list(table.header)
            source = named_source(spec.source)
            columns, issues = plan_columns(table.header, source, compiled.local_fields)
            prepared.issues.extend(issues)
            if columns is not None:
                yield from entries_from_rows(table.rows, columns, compiled.must_agree)
        prepared.issues.extend(table.issues)
    yield from entries_from_inline(spec.inline, compiled.local_fields)


def _find_duplicates(prepared: Prepared) -> None:
    """`duplicate-recipient` on every entry that shares an address in To with another one."""
    compiled = prepared.compiled
    first: dict[str, Letter] = {}
    told: set[str] = set()
    for letter in prepared.letters:
        if not letter.entry.active:
            continue
        for mailbox in letter.wanted.to:
            other = first.setdefault(mailbox.key, letter)
            if other is letter:
                continue
            pairs = [(letter, other)]
            if mailbox.key not in told:
                told.add(mailbox.key)
                pairs.append((other, letter))
            for here, there in pairs:
                here.issues.extend(
                    compiled.judge(
                        [
                            Issue(
                                "duplicate-recipient",
                                CODES["duplicate-recipient"].severity,
                                here.entry.pointer,
                                f"{mailbox.address} also gets the letter of “{there.id}”.",
                                "If both letters are meant, accept them; else correct the address.",
                                here.id,
                            )
                        ]
                    )
                )


def _counted(entries: Iterable[Entry], phase: str, progress: Progress) -> Iterator[Entry]:
    for number, entry in enumerate(entries):
        if number % STEP == 0:
            progress(phase, number, None)
        yield entry
