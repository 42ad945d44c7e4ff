"""What every page, script and style sheet keeps to: nothing inline (CSP), nothing from elsewhere, few bytes."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from tests.house.tree import ROOT, files, listing, text

INLINE = {
    "an inline script": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>"),
    "an inline style": re.compile(r"\sstyle\s*=|<style\b"),
    "an inline handler": re.compile(r"\son[a-z]+\s*=\s*[\"']"),
    "an unescaped value": re.compile(r"\|\s*safe\b|autoescape\s+false"),
    "an address elsewhere": re.compile(r"(?:src|href|action)\s*=\s*[\"'](?:https?:)?//"),
}
STATIC_BYTES_MAX = 60_000  # all of js and css together, gzipped; the budget of a page is checked in the browser tests
DANGEROUS = re.compile(r"\beval\(|new Function\(|\.innerHTML\s*=|document\.write\(|\bimport\s*\(?[\"']https?:")


def templates() -> list[str]:
    return [name for name in files() if name.startswith(("cloud/", "edge/", "simulators/")) and name.endswith(".html")]


def static(*endings: str) -> list[str]:
    return [name for name in files() if "/static/" in name or "/web/" in name if name.endswith(endings)]


def test_no_page_has_anything_inline_unescaped_or_from_elsewhere() -> None:
    problems = [
        f"{name}:{text(name)[: found.start()].count(chr(10)) + 1} {what}"
        for name in templates()
        for what, pattern in INLINE.items()
        for found in pattern.finditer(text(name))
    ]
    assert not problems, listing(problems)


def test_no_script_makes_code_or_markup_out_of_text() -> None:
    problems = [
        f"{name}:{number} {line.strip()}"
        for name in static(".js")
        for number, line in enumerate(text(name).splitlines(), 1)
        if DANGEROUS.search(line) and "policy.createHTML" not in line
    ]
    assert not problems, listing(problems)


def test_scripts_and_styles_stay_light_over_the_wire() -> None:
    size = sum(
        len(gzip.compress((ROOT / name).read_bytes())) for name in static(".js", ".css") if name.startswith("cloud/")
    )
    assert size <= STATIC_BYTES_MAX, f"{size} bytes gzipped"


def test_every_relative_import_of_a_script_leads_to_a_file() -> None:
    imported = re.compile(r"(?:from|import)\s*\(?[\"'](\.[^\"']+)[\"']")
    problems = [
        f"{name}: {target}"
        for name in static(".js")
        for target in imported.findall(text(name))
        if not (ROOT / Path(name).parent / target).exists()
    ]
    assert not problems, listing(problems)
