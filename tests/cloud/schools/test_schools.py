"""Districts, sites, schools and classes through the service."""

import pytest

from cloud.kit.db import Database
from cloud.kit.errors import Refused
from cloud.schools import service as schools
from cloud.schools.service import SchoolRefused
from tests.cast import NOW, a_district


def test_a_school_is_found_in_its_own_district_only(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with database.tenant(here.district) as tx:
        assert schools.school(tx, here.district, here.school).timezone == "Asia/Almaty"
        for district in (here.district, there.district):
            with pytest.raises(Refused) as refused:
                schools.school(tx, district, there.school)
            assert refused.value.code == "NOT_FOUND"


def test_an_invented_time_zone_is_refused_by_a_code(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx, pytest.raises(SchoolRefused) as refused:
        schools.put_school(
            tx, cast.district, sourced_id="x", site=9, name="X", level="primary", timezone="Mars/Base", language="en"
        )
    assert refused.value.code == "TIMEZONE_UNKNOWN"


def test_two_schools_share_one_site(database: Database) -> None:
    cast = a_district(database)
    with database.tenant(cast.district) as tx:
        schools.put_school(
            tx, cast.district, sourced_id="daycare", site=cast.site, name="Day-care", level="daycare",
            timezone="Asia/Almaty", language="ru",
        )
        assert [school.site for school in schools.schools(tx, cast.district)] == [cast.site, cast.site]


def test_every_district_is_listed_by_id_and_slug_only(database: Database) -> None:
    here, there = a_district(database), a_district(database, "neighbour", 202)
    with database.untenanted() as tx:
        assert schools.all_districts(tx) == [(here.district, "demo"), (there.district, "neighbour")]
        assert schools.district_of_slug(tx, "neighbour") == there.district
        assert schools.district_of_slug(tx, "nowhere") is None


def test_putting_a_district_twice_keeps_its_id_and_takes_its_new_name(database: Database) -> None:
    first = schools.put_district(database, "demo", "Old", NOW)
    assert schools.put_district(database, "demo", "New", NOW) == first
    with database.tenant(first) as tx:
        found = schools.district(tx, first)
        assert found is not None
        assert found.name == "New"
        assert schools.classes(tx, first, first) == []
