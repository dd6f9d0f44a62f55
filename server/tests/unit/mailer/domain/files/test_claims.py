from __future__ import annotations

from app.mailer.domain.files.claims import Claims, FileUse
from app.mailer.domain.files.stat import FileStat
from app.mailer.domain.issues import Issue, Severity


def review(code: str) -> Severity:
    assert code in ("shared-file", "unclaimed-file")
    return Severity.REVIEW


def shared(claims: Claims) -> dict[str | None, Issue]:
    return {issue.entry: issue for issue in claims.shared(review, lambda entry: f"/of/{entry}")}


def files(*paths: str) -> list[FileStat]:
    return [FileStat(path, 1, 1, True, (1, 1, 1, 1)) for path in paths]


def test_a_personal_file_that_two_take_is_told_on_both() -> None:
    claims = Claims()
    claims.take("ada", "1.pdf", personal=True)
    claims.take("bob", "2.pdf", personal=True)
    claims.take("bob", "1.pdf", personal=True)
    issues = shared(claims)
    assert set(issues) == {"ada", "bob"}
    assert issues["ada"].pointer == "/of/ada"
    assert issues["ada"].severity is Severity.REVIEW
    assert '"1.pdf"' in issues["ada"].message
    assert '"bob"' in issues["ada"].message
    assert '"ada"' not in issues["ada"].message
    assert '"ada"' in issues["bob"].message


def test_one_personal_taking_is_enough() -> None:
    claims = Claims()
    claims.take("ada", "1.pdf", personal=False)
    claims.take("bob", "1.pdf", personal=False)
    claims.take("cyd", "1.pdf", personal=True)
    assert set(shared(claims)) == {"ada", "bob", "cyd"}


def test_what_all_get_by_a_global_rule_is_nobodys_own() -> None:
    claims = Claims()
    for entry in ("ada", "bob", "cyd"):
        claims.take(entry, "terms.pdf", personal=False)
    assert shared(claims) == {}


def test_one_entry_may_take_a_file_twice() -> None:
    claims = Claims()
    claims.take("ada", "1.pdf", personal=True)
    claims.take("ada", "1.pdf", personal=True)
    assert shared(claims) == {}


def test_of_many_others_a_few_are_named() -> None:
    claims = Claims()
    for number in range(10):
        claims.take(f"e{number}", "1.pdf", personal=True)
        claims.take(f"e{number}", "1.pdf", personal=True)
    issues = shared(claims)
    assert len(issues) == 10
    assert issues["e0"].message.endswith('"e1", "e2", "e3" and 6 more.')
    assert issues["e9"].message.endswith('"e0", "e1", "e2" and 6 more.')


def test_unclaimed_files() -> None:
    claims = Claims()
    claims.take("ada", "1.pdf", personal=True)
    issues = list(
        claims.unclaimed(files("1.pdf", "2.pdf", "entries.csv"), review, known={"entries.csv"})
    )
    assert [issue.code for issue in issues] == ["unclaimed-file"]
    assert '"2.pdf"' in issues[0].message
    assert issues[0].entry is None


def test_many_unclaimed_files_are_counted() -> None:
    some = files(*(f"{number}.pdf" for number in range(250)))
    issues = list(Claims().unclaimed(some, review, limit=100))
    assert len(issues) == 101
    assert "150 further files (250 in all)" in issues[-1].message
    assert len(list(Claims().unclaimed(some[:100], review, limit=100))) == 100


def test_a_file_of_a_secret_name_is_not_named() -> None:
    claims = Claims()
    for entry in ("a", "b"):
        claims.take(entry, "hunter2.pdf", personal=True, confidential=True)
    found = list(claims.shared(lambda _code: Severity.REVIEW, lambda entry: entry))
    assert [issue.message for issue in found] == [
        'A personal file is also taken by "b".',
        'A personal file is also taken by "a".',
    ]


def test_each_file_is_told_with_its_takers() -> None:
    claims = Claims()
    claims.take("ada", "1.pdf", personal=True)
    claims.take("ada", "all.pdf", personal=False)
    claims.take("bob", "all.pdf", personal=False)
    claims.take("bob", "7788.pdf", personal=True, confidential=True)
    listed = files("1.pdf", "7788.pdf", "all.pdf", "known.pdf", "left.pdf")
    assert list(claims.uses(listed, forgettable={"left.pdf"})) == [
        FileUse("1.pdf", 1, 1, ("ada",), True),
        FileUse("•••", 1, 1, ("bob",), True),
        FileUse("all.pdf", 1, 2, ("ada", "bob"), False),
        FileUse("left.pdf", 1, 0, (), False),
    ]


def test_only_the_first_takers_are_named() -> None:
    claims = Claims()
    for number in range(1000):
        claims.take(f"e{number}", "all.pdf", personal=False)
    (use,) = claims.uses(files("all.pdf"), forgettable=())
    assert (use.takers, use.first_takers) == (1000, tuple(f"e{number}" for number in range(10)))
