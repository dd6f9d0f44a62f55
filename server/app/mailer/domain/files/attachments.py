"""Which files a letter gets: safe paths, and what a rule makes of the files that match it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from app.mailer.domain.campaign import OnAmbiguous
from app.mailer.domain.errors import UnsafePath
from app.mailer.domain.files.attachment_names import attachment_names
from app.mailer.domain.files.index import FileIndex
from app.mailer.domain.files.stat import FileStat
from app.mailer.domain.issues import Issue, Severity

#: What a finding (a code of `codes.CODES`) does to its entry, from the campaign's policy.
PolicyFor = Callable[[str], Severity]

#: A reviewer can choose among so many files; beyond it the rule itself is wrong.
MAX_CANDIDATES = 20
#: What stands for a secret value wherever people list letters.
MASK = "•••"
_NAMED = 5
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class RenderedRule:
    """An attachment rule with its placeholders filled in for one entry.

    `base_dir` and `pattern` have passed `safe_base_dir` and `safe_pattern`. `personal`: the rule is
    an entry's own or uses a local value. `confidential`: it uses a secret value, so that messages
    name neither folder nor pattern nor files; `secret_name`: its files' names hold the value, so
    that no list names them. `label` is shown: where the campaign gives none, it
    is the file filter as written, not as rendered.
    """

    label: str
    pointer: str
    base_dir: str
    pattern: str
    include_subdirs: bool = False
    required: bool = True
    allow_multiple: bool = False
    on_missing: Severity | None = None
    on_ambiguous: OnAmbiguous | None = None
    filename: str | None = field(default=None, repr=False)
    expect_text: tuple[str, ...] = field(default=(), repr=False)
    personal: bool = False
    confidential: bool = False
    secret_name: bool = False
    base_path: str = "."

    @property
    def place(self) -> str:
        """Where the rule looks, for a message."""
        if self.confidential:
            return "its folder"
        folder = f'the folder "{self.base_dir}"' if self.base_dir else self.base
        return folder + (" and below" if self.include_subdirs else "")

    @property
    def base(self) -> str:
        return "the base folder" + (f' "{self.base_path}"' if self.base_path != "." else "")

    @property
    def wanted(self) -> str:
        return "its pattern" if self.confidential else f'"{self.pattern}"'


@dataclass(frozen=True, slots=True)
class Decision:
    """The files that a rule attaches, and what is to be said; `entry` of the issues is not set."""

    rule: RenderedRule
    files: tuple[FileStat, ...]
    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class ChosenFile:
    """One file of a message: by which rule, and under which name the recipient sees it."""

    rule: RenderedRule
    file: FileStat
    filename: str

    @property
    def shown_path(self) -> str:
        """The path for lists and reports."""
        return MASK if self.rule.secret_name else self.file.path

    @property
    def shown_filename(self) -> str:
        """The name for lists and reports."""
        return MASK if self.rule.secret_name else self.filename


# ---------------------------------------------------------------- paths


def safe_base_dir(text: str) -> str:
    """A rendered folder, relative to the base (`""` is the base itself); raises `UnsafePath`."""
    return "/".join(_safe_parts(text, "folder"))


def safe_pattern(text: str) -> str:
    """A rendered file pattern, which may name folders below `base_dir`; raises `UnsafePath`."""
    parts = _safe_parts(text, "file pattern")
    if not parts or text.endswith("/"):
        raise UnsafePath(
            f"The file pattern {_quoted(text)} names no file.", 'Write a name such as "*.pdf".'
        )
    return "/".join(parts)


def safe_value(value: str) -> str:
    """A value for a folder or a file pattern.

    Raises `UnsafePath` for one that adds nothing to the path, such as `.` or `/`: then it would
    lead into the folder of all the others.
    """
    if value and not value.strip("./ ") and ".." not in value:
        raise UnsafePath(
            f"The value {_quoted(value)} names neither a folder nor a file.", "Correct the value."
        )
    return value


def _safe_parts(text: str, what: str) -> list[str]:
    if _CONTROL.search(text):
        raise UnsafePath(
            f"The {what} {_quoted(text)} holds a control character.",
            "Remove the line break or control character from the value.",
        )
    if "\\" in text:
        raise UnsafePath(
            f"The {what} {_quoted(text)} holds a backslash.", 'Write "/" between folders.'
        )
    if text.startswith("/") or re.match(r"[A-Za-z]:", text):
        raise UnsafePath(
            f"The {what} {_quoted(text)} is absolute.", "Write it relative to the base folder."
        )
    parts = text.split("/")
    if ".." in parts:
        raise UnsafePath(
            f'The {what} {_quoted(text)} holds "..".',
            "Attachments come from below the base folder only.",
        )
    return [part for part in parts if part not in ("", ".")]


def _quoted(text: str) -> str:
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
    return f'"{shown if len(shown) <= 100 else shown[:99] + "…"}"'


# ---------------------------------------------------------------- decisions


class Resolver:
    """Answers rules from one index; a rule that is the same for every entry is decided once."""

    def __init__(self, index: FileIndex, policy_for: PolicyFor) -> None:
        self.index = index
        self.policy_for = policy_for
        self.resolve = lru_cache(maxsize=256)(self._resolve)

    def _resolve(self, rule: RenderedRule) -> Decision:
        matches = self.index.match(rule.base_dir, rule.pattern, rule.include_subdirs)
        hint = "" if matches else self._hint(rule)
        return decide(rule, matches, self.policy_for, hint)

    def _hint(self, rule: RenderedRule) -> str:
        if rule.confidential:
            return ""
        if not self.index.has_folder(rule.base_dir):
            return f'There is no folder "{rule.base_dir}" below {rule.base}; check base_dir.'
        near = self.index.near_misses(rule.base_dir, rule.pattern)
        if not near:
            return ""
        names = _listed(near)
        depth = rule.base_dir.count("/") + (1 if rule.base_dir else 0) + rule.pattern.count("/")
        if rule.include_subdirs or near[0].path.count("/") == depth:
            return f"Names differ in upper and lower case: there is {names}."
        return f"In a folder below there is {names}: set include_subdirs or change base_dir."


def decide(
    rule: RenderedRule,
    matches: Sequence[FileStat],
    policy_for: PolicyFor,
    missing_hint: str = "",
) -> Decision:
    """Which of the matches a rule attaches.

    Symlinks, pipes and devices are never attached (`unsafe-file`). Of several files where one is
    wanted, `review` attaches them all, so that what a reviewer sees is what accepting sends (above
    `MAX_CANDIDATES` it blocks instead); `newest` takes the one changed last, and asks where that is
    not one; `block`, `warn` and `exclude` attach none.
    """
    regular = [stat for stat in matches if stat.regular]
    if len(regular) < len(matches):
        special = [stat for stat in matches if not stat.regular]
        return Decision(rule, (), (_unsafe(rule, special),))
    if not regular:
        return Decision(rule, (), (_missing(rule, policy_for, missing_hint),))
    if len(regular) == 1 or rule.allow_multiple or rule.on_ambiguous == "all":
        return Decision(rule, tuple(regular), _empty(rule, regular, policy_for))
    if rule.on_ambiguous == "newest":
        latest = max(stat.mtime_ns for stat in regular)
        regular = [stat for stat in regular if stat.mtime_ns == latest]
        if len(regular) == 1:
            return Decision(rule, tuple(regular), _empty(rule, regular, policy_for))
        severity = Severity.REVIEW
    elif rule.on_ambiguous is None:
        severity = policy_for("ambiguous-attachment")
    else:
        severity = Severity(rule.on_ambiguous)
    if severity is Severity.REVIEW and len(regular) > MAX_CANDIDATES:
        severity = Severity.BLOCK
    ambiguous = _ambiguous(rule, regular, severity)
    if severity is not Severity.REVIEW:
        return Decision(rule, (), (ambiguous,))
    return Decision(rule, tuple(regular), (ambiguous, *_empty(rule, regular, policy_for)))


def chosen_files(decisions: Sequence[Decision]) -> tuple[ChosenFile, ...]:
    """The files of one message in order, each once, under distinct names."""
    first: dict[str, tuple[RenderedRule, FileStat]] = {}
    for decision in decisions:
        for stat in decision.files:
            first.setdefault(stat.path, (decision.rule, stat))
    chosen = list(first.values())
    names = attachment_names([(rule.filename, stat.path) for rule, stat in chosen])
    return tuple(
        ChosenFile(rule, stat, name) for (rule, stat), name in zip(chosen, names, strict=True)
    )


def _missing(rule: RenderedRule, policy_for: PolicyFor, hint: str) -> Issue:
    code = "missing-attachment" if rule.required else "missing-optional-attachment"
    return Issue(
        code,
        rule.on_missing or policy_for(code),
        rule.pointer,
        f'Rule "{rule.label}": no file matches {rule.wanted} in {rule.place}.',
        hint or "Put the file there, or correct the rule or the value that it uses.",
    )


def _ambiguous(rule: RenderedRule, files: Sequence[FileStat], severity: Severity) -> Issue:
    names = "" if rule.confidential else f": {_listed(files)}"
    attached = {
        Severity.REVIEW: " All of them are attached; accepting sends them all.",
        Severity.WARN: " None of them is attached.",
    }.get(severity, "")
    return Issue(
        "ambiguous-attachment",
        severity,
        rule.pointer,
        f'Rule "{rule.label}": {len(files)} files match {rule.wanted} in {rule.place}{names}.'
        + attached,
        "Make the pattern narrower, remove the wrong files, or set allow_multiple or on_ambiguous.",
    )


def _unsafe(rule: RenderedRule, special: Sequence[FileStat]) -> Issue:
    names = "" if rule.confidential else f": {_listed(special)}"
    return Issue(
        "unsafe-file",
        Severity.BLOCK,
        rule.pointer,
        f'Rule "{rule.label}": what matches {rule.wanted} in {rule.place} is a symlink or a special'
        f" file{names}.",
        "Put the real file in its place; links, pipes and devices are never attached.",
    )


def _empty(
    rule: RenderedRule, files: Sequence[FileStat], policy_for: PolicyFor
) -> tuple[Issue, ...]:
    empty = [stat for stat in files if stat.size == 0]
    if not empty:
        return ()
    names = "A matched file" if rule.confidential else _listed(empty)
    return (
        Issue(
            "empty-file",
            policy_for("empty-file"),
            rule.pointer,
            f'Rule "{rule.label}": 0 bytes long: {names}.',
            "Look at the program that wrote the file, and write it again.",
        ),
    )


def _listed(files: Sequence[FileStat]) -> str:
    names = ", ".join(_quoted(stat.path) for stat in files[:_NAMED])
    return names + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else "")
