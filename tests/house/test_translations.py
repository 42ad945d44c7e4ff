"""Five complete catalogues: the source is up to date, every sentence translated, with its names and plural forms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import pytest
from babel.messages.catalog import Message

from cloud.kit.i18n import LANGUAGES as KNOWN
from scripts.translations import LANGUAGES, TEMPLATE, path_of, read
from scripts.translations import extract as extract_anew
from tests.house.tree import listing

NAMES = re.compile(r"%\((\w+)\)[sd]|%[sd]")


extract = cache(extract_anew)  # all pages are read for it: once is enough


def sentences(language: str) -> Iterator[Message]:
    return (message for message in read(path_of(language), language) if message.id)


def texts(value: object) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (str(value or ""),)


def keys(messages: object) -> set[object]:
    return {(message.context, message.id) for message in messages if message.id}  # type: ignore[attr-defined]


def test_the_source_catalogue_holds_exactly_the_sentences_of_the_pages() -> None:
    assert keys(read(TEMPLATE)) == keys(extract()), "run `make translations`"
    assert len(extract()) > 20


def test_the_pages_know_the_languages_that_are_translated() -> None:
    assert set(KNOWN) == {"en", *LANGUAGES}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_is_translated_and_none_is_left_over(language: str) -> None:
    missing = keys(extract()) - keys(sentences(language))
    left_over = keys(sentences(language)) - keys(extract())
    empty = [str(message.id) for message in sentences(language) if not all(texts(message.string))]
    fuzzy = [str(message.id) for message in sentences(language) if message.fuzzy]
    assert not (missing or left_over or empty or fuzzy), f"{missing=} {left_over=} {empty=} {fuzzy=}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_keeps_the_names_of_its_sentence(language: str) -> None:
    problems = [
        f"{message.id} -> {translated}"
        for message in sentences(language)
        for translated in texts(message.string)
        if not set(NAMES.findall(translated))
        <= {name for source in texts(message.id) for name in NAMES.findall(source)}
        or (not message.pluralizable and set(NAMES.findall(translated)) != set(NAMES.findall(str(message.id))))
    ]
    assert not problems, listing(problems)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_plural_has_as_many_forms_as_the_language(language: str) -> None:
    catalogue = read(path_of(language), language)
    problems = [
        str(message.id)
        for message in catalogue
        if message.pluralizable and len(texts(message.string)) != catalogue.num_plurals
    ]
    assert not problems, listing(problems)


@pytest.mark.parametrize("language", ["kk", "ru"])
def test_a_cyrillic_language_is_written_in_cyrillic(language: str) -> None:
    problems = [
        f"{message.id} -> {translated}"
        for message in sentences(language)
        for translated in texts(message.string)
        if len(re.sub(r"%\(\w+\)s|[^A-Za-z]", "", translated)) > 3
        and not re.search(r"[А-Яа-яЁё]", translated)
        and str(message.id) != translated
    ]
    assert not problems, listing(problems)
