"""Languages: the person's first, then the browser's; times in the school's zone over both clock changes."""

from datetime import UTC, datetime

import pytest

from cloud.kit.i18n import Reader, choose_language


@pytest.mark.parametrize(("person", "browser", "chosen"), [
    ("kk", "fr", "kk"), (None, "fr-CA,fr;q=0.9,en;q=0.8", "fr"), (None, "de,ru;q=0.4,vi;q=0.6", "vi"),
    (None, None, "en"), ("xx", "", "en"), (None, "*;q=x,\x00", "en"), (None, "a," * 5000 + "fr", "en"),
])
def test_the_language_is_the_persons_then_the_browsers(person: str | None, browser: str | None, chosen: str) -> None:
    assert choose_language(person, browser) == chosen


def test_times_are_the_schools_wall_clock_before_and_after_the_clock_changes() -> None:
    reader = Reader("fr", "Europe/Paris")
    assert reader.time(datetime(2026, 3, 29, 0, 59, tzinfo=UTC)) == "01:59"
    assert reader.time(datetime(2026, 3, 29, 1, 0, tzinfo=UTC)) == "03:00"
    assert reader.time(datetime(2026, 10, 25, 1, 0, tzinfo=UTC)) == "02:00"


def test_a_day_is_the_schools_local_date() -> None:
    late_evening = datetime(2026, 9, 1, 20, 30, tzinfo=UTC)
    assert "2 сентября" in Reader("ru", "Asia/Almaty").day(late_evening)
    assert "1 septembre" in Reader("fr", "Europe/Paris").day(late_evening)


def test_words_without_a_translation_are_the_english_ones() -> None:
    assert Reader("vi").gettext("no such sentence anywhere") == "no such sentence anywhere"
    assert Reader("en").ngettext("%(n)s child", "%(n)s children", 2) == "%(n)s children"
