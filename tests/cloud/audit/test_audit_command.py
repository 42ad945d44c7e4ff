"""`portillon-cloud audit verify`: exit codes, what it prints, and the file of an earlier run."""

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from cloud.audit import service as audit
from cloud.audit.commands import app
from cloud.config import Settings
from cloud.kit.db import Database
from tests.cast import NOW, Cast, a_district
from tests.conftest import Clone


@pytest.fixture
def cast(database: Database) -> Cast:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        for child in (cast.minh, cast.timur, cast.minh):
            audit.record(tx, cast.district, action="read_file", by=cast.head, thing="child", thing_id=child,
                         child_id=child, now=NOW)  # fmt: skip
    return cast


def verified(settings: Settings, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["verify", *arguments], obj=settings)


def test_a_whole_log_is_said_so_with_its_end(settings: Settings, cast: Cast) -> None:
    told = verified(settings, "--json")
    [row] = json.loads(told.stdout)["districts"]
    assert (told.exit_code, row["district"], row["lines"], row["n"], row["broken_at"]) == (0, "demo", 3, 3, None)
    assert verified(settings).stdout.rstrip().endswith("whole")


def test_a_broken_log_is_exit_code_4_and_says_where(settings: Settings, cast: Cast, clone: Clone) -> None:
    with psycopg.connect(clone.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE audit_log SET role = 'guardian' WHERE n = 2")
    told = verified(settings)
    assert told.exit_code == 4 and "BROKEN at line 2 (HEAD)" in told.stdout
    answer = verified(settings, "--json")
    assert answer.exit_code == 4 and json.loads(answer.stdout)["ok"] is False


def test_an_earlier_answer_shows_a_log_that_was_cut(
    settings: Settings, cast: Cast, clone: Clone, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(verified(settings, "--json").stdout)
    assert verified(settings, "--known", str(kept)).exit_code == 0
    with psycopg.connect(clone.owner_url) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("DELETE FROM audit_log WHERE n = 3")
    told = verified(settings, "--known", str(kept))
    assert told.exit_code == 4 and "BROKEN at line 3 (CUT)" in told.stdout


@pytest.mark.parametrize("content", ["", "[]", '{"districts": [{"district": "x"}]}', '{"districts": [{"n": "é"}]}'])
def test_a_file_of_another_kind_is_a_wrong_use(settings: Settings, cast: Cast, tmp_path: Path, content: str) -> None:
    (tmp_path / "kept.json").write_text(content)
    assert verified(settings, "--known", str(tmp_path / "kept.json")).exit_code == 2
