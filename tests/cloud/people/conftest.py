"""One family a module, in a transaction that every test rolls back: nothing is made anew, nothing is left behind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from uuid import UUID

import pytest
from psycopg import sql

from cloud.identity import service as identity
from cloud.identity.model import Role
from cloud.kit.db import Database, RuleBroken, Transaction
from cloud.kit.errors import Refused
from cloud.people import service as people
from simulators.database import RunningDatabase
from tests.cast import FIRST_DAY, Cast, a_district
from tests.conftest import Clone, _made


@dataclass(frozen=True)
class Home:
    """The cast and who else is needed: an office of the school, a grandmother, five aunts whom nobody tied yet."""

    cast: Cast
    office: UUID
    grandmother: UUID
    aunts: tuple[UUID, ...]


@pytest.fixture(scope="module")
def place(database_server: RunningDatabase, migrated_template: str) -> Iterator[Clone]:
    """A migrated database of this module."""
    yield from _made(database_server, migrated_template)


@pytest.fixture(scope="module")
def pool(place: Clone) -> Iterator[Database]:
    with Database(place.url, 10) as opened:
        yield opened


@pytest.fixture(scope="module")
def home(pool: Database) -> Home:
    cast = a_district(pool)
    with pool.tenant(cast.district) as tx:

        def adult(key: str, given: str) -> UUID:
            return people.put_person(tx, cast.district, sourced_id=key, given=given, family="Сейтқали", language="kk")

        home = Home(cast, adult("office", "Дана"), adult("grandmother", "Апа"),
                    tuple(adult(f"aunt-{number}", f"Aunt {number}") for number in range(5)))  # fmt: skip
        identity.grant_role(tx, cast.district, home.office, Role.OFFICE, FIRST_DAY, school_id=cast.school)
    return home


@pytest.fixture
def tx(pool: Database, home: Home) -> Iterator[Transaction]:
    """A staff transaction of the district that is rolled back."""
    with pool.tenant(home.cast.district) as opened, opened.transaction(force_rollback=True):
        yield opened


SeenBy = Callable[[UUID], AbstractContextManager[None]]


@pytest.fixture
def seen_by(tx: Transaction) -> SeenBy:
    """`with seen_by(person):` makes the rest a guardian's transaction, as FamilyTx is."""

    @contextmanager
    def as_guardian(person: UUID) -> Iterator[None]:
        tx.execute("SELECT set_config('app.person', %s, true)", (str(person),))
        yield
        tx.execute("SELECT set_config('app.person', '', true)")

    return as_guardian


def refusal(run: Callable[[], object]) -> str:
    with pytest.raises(Refused) as refused:
        run()
    assert refused.value.answer.status < 500
    return refused.value.code


def broken(tx: Transaction, query: str, values: tuple[object, ...]) -> tuple[str, str]:
    with pytest.raises(RuleBroken) as refused, tx.transaction():
        tx.execute(sql.SQL(query), values)  # type: ignore[arg-type]
    return refused.value.sqlstate, refused.value.constraint


def facts(tx: Transaction) -> list[tuple[str, dict[str, object]]]:
    return tx.execute("SELECT fact, what FROM job ORDER BY id").fetchall()


def lines(tx: Transaction, child: UUID) -> list[tuple[str, UUID]]:
    return tx.execute("SELECT action, by_person FROM audit_log WHERE child_id = %s ORDER BY n", (child,)).fetchall()
