"""Every constraint, unique index and trigger of the catalog refuses a row that breaks it, with its SQLSTATE and name.

And each of them in turn is taken away: then the same row must be answered otherwise, or no test would notice its loss.
"""

from collections.abc import Iterator, Sequence

import psycopg
import pytest

from tests.cloud.wall.breakages import BROKEN_BY
from tests.cloud.wall.rules import Rule
from tests.cloud.wall.town import Town
from tests.cloud.wall.trial import PASSED, Trial
from tests.conftest import Clone


@pytest.fixture(scope="module")
def trial(place: Clone, town: Town) -> Iterator[Trial]:
    with psycopg.connect(place.owner_url, autocommit=True) as connection:
        yield Trial(connection)


def listed(rules: Sequence[tuple[Rule, object]]) -> str:
    return "\n" + "\n".join(f"  {rule}: {why}" for rule, why in rules)


def test_every_table_has_a_row_in_both_districts_so_that_a_trial_finds_something(place: Clone, town: Town) -> None:
    empty = []
    with psycopg.connect(place.owner_url, autocommit=True) as owner:
        for (table,) in owner.execute(
            "SELECT c.relname::text FROM pg_class c WHERE c.relkind IN ('r', 'p')"
            " AND c.relnamespace = 'public'::regnamespace AND c.relname <> 'migration' ORDER BY 1"
        ).fetchall():
            found = owner.execute(f'SELECT to_jsonb(t)->>\'district_id\' FROM "{table}" t'.encode()).fetchall()
            districts = {district for district, in found}
            wanted = {str(town.here.cast.district), str(town.there.cast.district)}
            if not found or (None not in districts and not wanted <= districts):
                empty.append(table)
    assert empty == [], "put a row into them in town.py"


def test_every_check_exclusion_and_trigger_has_a_line_that_breaks_it(trial: Trial) -> None:
    by_hand = {rule.name for rule in trial.rules if rule.kind in "cxt"}
    known = {rule.name for rule in trial.rules}
    assert (sorted(by_hand - set(BROKEN_BY)), sorted(set(BROKEN_BY) - known)) == ([], [])


def test_every_rule_refuses_what_breaks_it_with_its_own_name(trial: Trial) -> None:
    wrong = [(rule, told) for rule in trial.rules if (told := trial.answer(rule)) != rule.answer]
    assert not wrong, listed(wrong)


def test_the_loss_of_any_rule_is_noticed(trial: Trial) -> None:
    unnoticed: list[tuple[Rule, object]] = [
        (rule, "answered the same without it") for rule in trial.rules
        if trial.answer(rule, taken_away=True) == rule.answer
    ]
    assert not unnoticed, listed(unnoticed)
    assert PASSED not in {rule.answer for rule in trial.rules}
