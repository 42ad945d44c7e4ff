"""Collect every sentence of the cloud's pages into cloud/locales/cloud.pot and bring the four translations up to date.

English is the source. New sentences arrive untranslated and changed ones are emptied, never guessed ("fuzzy"):
tests/house/test_translations.py fails until each is translated in all languages. Nothing is compiled:
cloud/kit/i18n.py reads the .po files as they are.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
LOCALES = ROOT / "cloud" / "locales"
TEMPLATE = LOCALES / "cloud.pot"
LANGUAGES = ("fr", "kk", "ru", "vi")
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2"), ("**/templates/**.txt", "jinja2")]
OPTIONS = {"**/templates/**": {"newstyle_gettext": "true", "silent": "false"}}


def extract() -> Catalog:
    """Every sentence of cloud/, with the files it stands in (no line numbers: they would change with every edit)."""
    catalogue = Catalog(
        project="Portillon",
        charset="utf-8",
        header_comment="# Words of Portillon's pages. Made by `make translations`.",
    )
    found = extract_from_dir(ROOT / "cloud", METHODS, OPTIONS, keywords=KEYWORDS, comment_tags=("Translators:",))
    for name, _line, message, comments, context in found:
        catalogue.add(message, None, [(f"cloud/{name}", 0)], auto_comments=comments, context=context)
    return catalogue


def written(catalogue: Catalog) -> bytes:
    """The catalogue as a file; without dates, so that the same sentences give the same bytes."""
    buffer = io.BytesIO()
    write_po(buffer, catalogue, width=100, omit_header=False, sort_by_file=True, include_lineno=False)
    lines = buffer.getvalue().split(b"\n")
    return b"\n".join(
        line for line in lines if not line.startswith((b'"POT-Creation', b'"PO-Revision', b'"Generated-By'))
    )


def read(path: Path, language: str | None = None) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=language)


def path_of(language: str) -> Path:
    return LOCALES / language / "LC_MESSAGES" / "cloud.po"


def update(language: str, source: Catalog) -> int:
    """Bring one language up to date and return how many sentences still want a translation."""
    path = path_of(language)
    catalogue = (
        read(path, language)
        if path.exists()
        else Catalog(locale=language, project="Portillon", charset="utf-8", fuzzy=False)
    )
    catalogue.update(source, no_fuzzy_matching=True, update_header_comment=True, keep_user_comments=True)
    catalogue.obsolete.clear()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(written(catalogue))
    return sum(1 for message in catalogue if message.id and not (message.string and all(message.string)))


def main() -> int:
    source = extract()
    LOCALES.mkdir(exist_ok=True)
    TEMPLATE.write_bytes(written(source))
    wanting = {language: update(language, source) for language in LANGUAGES}
    print(
        f"{len(source)} sentences; without translation: "
        + ", ".join(f"{name} {count}" for name, count in wanting.items())
    )
    return 1 if any(wanting.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
