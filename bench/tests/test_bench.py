"""The bench works; how fast anything is, is no business of a test."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import build
import resolve
import run
import validate
from commands import Cost, Machine
from make_files import make

from app.mailer.domain.campaign.shape import read_shape


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bench") / "20"
    make(folder, 20)
    return folder


def test_the_made_campaign_is_sound(made: Path) -> None:
    campaign, issues = read_shape((made / "campaign.json").read_bytes())
    assert campaign is not None
    assert issues == []
    assert len(list((made / "files" / "pdf").glob("*.pdf"))) == 20


def test_commands_are_measured_and_their_scans_counted(made: Path, tmp_path: Path) -> None:
    row = run.listed(Machine(tmp_path), made / "campaign.json")
    assert (row.figure, row.met) == (1, True)


def test_a_command_that_fails_ends_the_bench(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="none_such exits with 1"):
        Machine(tmp_path).run("none_such")


def test_every_peer_does_the_work() -> None:
    assert set(validate.measure(20, rounds=1)) == {"ours", "jsonschema", "jsonschema-rs"}
    assert len(list(resolve.measure(50, sample=2))) == 4
    assert len(build.measure(rounds=1, letters=2)) == len(build.CASES)


@pytest.mark.parametrize(
    ("seconds", "peak_mb", "met"), [(12, 999, True), (12.1, 10, False), (5, 1001, False)]
)
def test_growth_and_memory_are_hard_limits(seconds: float, peak_mb: float, met: bool) -> None:
    assert run.grown("build", Cost(1, 1, 50), Cost(seconds, 1, peak_mb)).met is met


def test_goals_are_judged_only_where_there_is_one() -> None:
    assert run.compared("build", "ms", 1, "peer", 8, goal=8).met is True
    assert run.compared("build", "ms", 1, "peer", 7.9, goal=8).met is False
    assert run.compared("build", "ms", 1, "peer", 7.9, goal=None).met is None


def test_rows_of_every_kind_are_shown() -> None:
    cost = Cost(1, 1, 50)
    rows = [
        run.grown("build", cost, cost),
        run.compared("validate", "s", 1, "jsonschema", 60, 50),
        run.Counted("scans", 1, "", True),
    ]
    for row in rows:
        assert run.show(row).endswith("yes")
        assert run.title(row)
    assert json.dumps([row.__dict__ for row in rows])
