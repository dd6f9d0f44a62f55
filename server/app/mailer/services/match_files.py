"""Match files to letters from one scan of the base folder, and look for mix-ups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from app.mailer.domain.codes import CODES
from app.mailer.domain.errors import FileChanged, UnsafePath
from app.mailer.domain.files.attachments import Decision, RenderedRule, Resolver, chosen_files
from app.mailer.domain.files.claims import Claims, FileUse
from app.mailer.domain.files.expected_text import check_text, is_pdf
from app.mailer.domain.files.index import FileIndex
from app.mailer.domain.files.stat import FileStat
from app.mailer.domain.issues import Issue, Severity
from app.mailer.domain.letters.compiled import CompiledCampaign
from app.mailer.domain.letters.letter import Letter, wants_archive
from app.mailer.domain.letters.rules import rendered_rules
from app.mailer.domain.mime.body import base64_size
from app.mailer.ports import CampaignFiles, FileFault, FileTree, PdfText, Progress

_STEP = 200
#: Packing makes files smaller by this much at most, as far as we trust it.
_PACKED = 5


@dataclass(frozen=True, slots=True)
class Matched:
    """The base folder as it was scanned, and who takes which of its files, by path."""

    tree: FileTree
    uses: list[FileUse]


def match_files(
    compiled: CompiledCampaign,
    letters: Sequence[Letter],
    files: CampaignFiles,
    issues: list[Issue],
    *,
    pdf_text: PdfText,
    progress: Progress,
) -> Matched | None:
    """Give every letter its files; faults go to the letters, or to `issues` where of no one entry.

    The base folder is scanned once. None where the campaign attaches nothing or has no folder.
    """
    for number, image in enumerate(compiled.campaign.template.inline_images):
        pointer = f"/template/inline_images/{number}/path"
        try:
            data = files.data(image.path)
        except FileFault as fault:
            issues.append(file_issue(fault, pointer))
        else:
            if not data:
                code = "broken-image"
                issues.append(
                    Issue(
                        code,
                        CODES[code].severity,
                        pointer,
                        f"The image {image.path} has 0 bytes.",
                        "Write it again, or take it out.",
                    )
                )
    if not compiled.rules and not any(letter.entry.rules for letter in letters):
        return None
    try:
        tree = files.tree(compiled.campaign.attachments.base_path)
    except FileFault as fault:
        issues.append(file_issue(fault, "/attachments/base_path"))
        return None
    index = FileIndex(tree.scan(progress), tree.folders)
    issues.extend(_unreadable(tree))

    matching = _Matching(compiled, index, tree, pdf_text)
    for number, letter in enumerate(letters):
        matching.match(letter)
        if number % _STEP == 0:
            progress("Matching files", number, len(letters))
    progress("Matching files", len(letters), len(letters))
    used = files.used_below(tree)
    matching.cross_check(letters, issues, used)
    return Matched(tree, matching.uses(used))


def file_issue(fault: FileFault, pointer: str, entry: str | None = None) -> Issue:
    """A fault of a file as an issue."""
    return Issue(fault.code, CODES[fault.code].severity, pointer, fault.message, fault.hint, entry)


def read_file(tree: FileTree, rule: RenderedRule, stat: FileStat) -> bytes:
    """A scanned file's bytes; raises `FileFault` where it is no longer what was scanned."""
    hidden = rule.confidential
    try:
        return tree.read(stat)
    except UnsafePath as error:
        message = "A matched file is, or lies behind, a symlink or a special file."
        raise FileFault("unsafe-file", message if hidden else error.message, error.hint) from error
    except FileChanged as error:
        message = "A matched file was changed since it was checked."
        raise FileFault("changed-file", message if hidden else error.message, error.hint) from error
    except OSError as error:
        name = "A matched file" if hidden else f'The file "{stat.path}"'
        raise FileFault(
            "unreadable-file",
            f"{name} cannot be read: {error.strerror or 'it is no file that can be read'}.",
            "Give this user the right to read it.",
        ) from error


class _Matching:
    """The work on one campaign's files."""

    def __init__(
        self, compiled: CompiledCampaign, index: FileIndex, tree: FileTree, pdf_text: PdfText
    ) -> None:
        self._compiled = compiled
        self._index = index
        self._tree = tree
        self._pdf_text = pdf_text
        self._resolver = Resolver(index, compiled.severity_of)
        self._claims = Claims()
        # Patterns whose matches were considered and not attached, and those files: not forgotten.
        self._considered: set[tuple[str, str, bool]] = set()
        self._known: set[str] = set()
        # Rules for everybody that give several files, with how many entries got them.
        self._for_all: Counter[RenderedRule] = Counter()
        # Only files of rules for everybody are asked for again and again.
        self._texts: dict[str, str | ValueError] = {}

    def match(self, letter: Letter) -> None:
        """Resolve the rules of one letter and note what it takes.

        An inactive entry takes its files too, so that they do not count as forgotten.
        """
        decisions = [
            self._resolver.resolve(rule) for rule in rendered_rules(self._compiled, letter)
        ]
        for decision in decisions:
            for stat in decision.files:
                self._claims.take(
                    letter.id,
                    stat.path,
                    personal=decision.rule.personal,
                    confidential=decision.rule.confidential,
                )
            if not decision.files:
                self._consider(decision.rule)
        if not letter.entry.active:
            return
        self._for_all.update(
            each.rule
            for each in decisions
            if len(each.files) > 1 and not each.rule.personal and not each.issues
        )
        letter.files = chosen_files(decisions)
        refused = self._refused_for_size(letter)
        for decision in decisions:
            found = [*decision.issues, *(() if refused else self._content_issues(decision))]
            letter.issues.extend(
                Issue(each.code, each.severity, each.pointer, each.message, each.hint, letter.id)
                for each in found
                if each.severity is not Severity.IGNORE
            )

    def cross_check(
        self, letters: Sequence[Letter], issues: list[Issue], used: AbstractSet[str]
    ) -> None:
        """Files that two entries take, and files that nobody takes."""
        by_id = {letter.id: letter for letter in letters}
        policy_for = self._compiled.severity_of
        for issue in self._claims.shared(policy_for, lambda entry: by_id[entry].entry.pointer):
            letter = by_id[issue.entry or ""]
            if letter.entry.active and issue.severity is not Severity.IGNORE:
                letter.issues.append(issue)
        for rule, takers in self._for_all.items():
            if takers > 1:
                issues.append(self._same_files(rule, takers))
        if policy_for("unclaimed-file") is not Severity.IGNORE:
            issues.extend(
                self._claims.unclaimed(
                    self._index.visible_files(), policy_for, known=used | self._known
                )
            )

    def uses(self, used: AbstractSet[str]) -> list[FileUse]:
        """Who takes which file; what nobody takes only where somebody may have forgotten it."""
        known = used | self._known
        visible = {stat.path for stat in self._index.visible_files()}
        files = sorted(self._index.files, key=lambda stat: stat.path)
        return list(self._claims.uses(files, forgettable=visible - known))

    def _same_files(self, rule: RenderedRule, takers: int) -> Issue:
        files = self._resolver.resolve(rule).files
        some = "" if rule.confidential else ": " + ", ".join(f'"{f.path}"' for f in files[:5])
        more = ", …" if some and len(files) > 5 else ""
        return Issue(
            "same-files",
            CODES["same-files"].severity,
            rule.pointer,
            f'Rule "{rule.label}": {takers} entries get the same {len(files)} files{some}{more}.',
            "If each is for one person, use a value of theirs in the pattern, such as "
            "${local::number}.",
        )

    def _consider(self, rule: RenderedRule) -> None:
        """Note what matches although nothing is attached: ambiguous files are not forgotten."""
        asked = (rule.base_dir, rule.pattern, rule.include_subdirs)
        if asked not in self._considered:
            self._considered.add(asked)
            self._known.update(stat.path for stat in self._index.match(*asked))

    def _content_issues(self, decision: Decision) -> list[Issue]:
        rule = decision.rule
        if not rule.expect_text:
            return []
        found: list[Issue] = []
        for stat in decision.files:
            if not is_pdf(stat.path):
                continue
            try:
                text = self._text_of(rule, stat)
            except FileFault as fault:
                found.append(file_issue(fault, rule.pointer))
            else:
                found.extend(check_text(rule, stat.path, text, self._compiled.severity_of))
        return found

    def _text_of(self, rule: RenderedRule, stat: FileStat) -> str | ValueError:
        known = self._texts.get(stat.path)
        if known is not None:
            return known
        data = read_file(self._tree, rule, stat)
        text: str | ValueError
        try:
            text = self._pdf_text(data)
        except ValueError as error:
            text = error
        if not rule.personal:
            self._texts[stat.path] = text
        return text

    def _refused_for_size(self, letter: Letter) -> bool:
        """Whether the files alone are too much: then none of them is ever read.

        An archive may be smaller than its files, so below `_PACKED` its size is told at build.
        """
        limit = self._compiled.campaign.delivery.max_message_bytes
        total = sum(base64_size(chosen.file.size) for chosen in letter.files)
        packed = wants_archive(self._compiled, letter.entry)
        if total <= (limit * _PACKED if packed else limit):
            return False
        judged = self._compiled.judge([too_large(letter, total, limit)])
        letter.issues.extend(judged)
        return any(issue.severity in (Severity.BLOCK, Severity.EXCLUDE) for issue in judged)


def too_large(letter: Letter, size: int, limit: int) -> Issue:
    """`too-large`, with the figures in megabytes as people read them."""
    return Issue(
        "too-large",
        CODES["too-large"].severity,
        letter.entry.pointer,
        f"The message would have {_bytes(size)}; {_bytes(limit)} are allowed.",
        "Attach less, or raise `delivery.max_message_bytes` if the mail server takes more.",
        letter.id,
    )


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"


def _unreadable(tree: FileTree) -> list[Issue]:
    return [
        Issue(
            "unreadable-file",
            Severity.WARN,
            "/attachments/base_path",
            f'"{path}" could not be looked at.',
            "Give this user the right to read it, and name files in UTF-8.",
        )
        for path in tree.unreadable[:100]
    ]
