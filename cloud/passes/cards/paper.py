"""The page on which a card is printed: A4 with cut marks, drawn by typst; the same card gives the same bytes.

Responsible for: the code (QR, alphanumeric, level Q), its size on paper, the words in the holder's language. The fonts
come with us and no others are looked for; the document's time is the card's own. Not responsible for: what the code
says (protocols/passes.py), who may print. Sizes: docs/camera.md, docs/cards.md.
"""

import io
from pathlib import Path
from typing import Literal

import segno
import typst
from fontpkg_noto_sans import __file__ as font_package

from cloud.kit.errors import N_
from cloud.kit.i18n import LANGUAGES, Reader
from cloud.passes.cards.model import Card
from protocols.passes import card_text

DRAWING = Path(__file__).parent / "card.typ"
FONTS = Path(font_package).parent / "files"
CODE_MM_MAX = 99.0  # what an A6 card has for the code and its quiet zone
MODULE_MM = 1.4  # 3.2 pixels at 34 cm before a camera of 78 degrees, 2.4 at 30 cm before one of 102 (docs/camera.md)
QUIET_MODULES = 4  # ISO/IEC 18004
WORD_CHARACTERS_MAX, ZERO_WIDTH_SPACE = 22, "\u200b"  # wide bold letters of 15 points on 99 mm

LOST_STEPS = (
    N_("Tell the school at once: by telephone, or on your page under Cards. Say the number on the card."),
    N_("From then on no gate takes the lost card. Children are never turned away: staff take them in by hand."),
    N_("The office prints a new card with a new number."),
)


def draw(card: Card) -> bytes:
    """Return the PDF of a card."""
    return _typst(card, "pdf", None)


def picture(card: Card, pixels_per_inch: float) -> bytes:
    """Return the same page as PNG: what a test reads back as a gate's camera would."""
    return _typst(card, "png", pixels_per_inch)


def code_of(card: Card) -> segno.QRCode:
    """Return the QR Code of a card."""
    return segno.make_qr(card_text(card.body), error="q", mode="alphanumeric", boost_error=False)


def module_mm(code: segno.QRCode) -> float:
    """Return the side of a module on paper: MODULE_MM, or less where a long code would leave the card."""
    return min(MODULE_MM, CODE_MM_MAX / code.symbol_size(border=QUIET_MODULES)[0])


def _typst(card: Card, format: Literal["pdf", "png"], ppi: float | None) -> bytes:
    code = code_of(card)
    svg = io.BytesIO()
    code.save(svg, kind="svg", border=QUIET_MODULES, xmldecl=False, dark="#000", light="#fff")
    width = module_mm(code) * code.symbol_size(border=QUIET_MODULES)[0]
    told = {**_words(card), "code": svg.getvalue().decode(), "code_width": f"{width:.3f}mm"}
    return typst.compile(
        DRAWING, format=format, ppi=ppi, sys_inputs=told, timestamp=int(card.issued_at.timestamp()),
        font_paths=[FONTS], ignore_system_fonts=True,
    )  # fmt: skip


def _words(card: Card) -> dict[str, str]:
    """What stands on the page, in the holder's language."""
    reader = Reader(card.language if card.language in LANGUAGES else "en", card.timezone)
    words = reader.gettext
    return {
        "language": reader.language, "title": words(N_("Printed pass")), "name": _breakable(card.name),
        "school": card.school, "serial": card.shown_serial,
        "until": words(N_("Valid until %(day)s")) % {"day": reader.short_day(card.expires_at)},
        "hint": words(N_("Show it to the camera. A member of staff confirms.")),
        "lost_title": words(N_("If the card is lost")), "lost": "\n".join(words(step) for step in LOST_STEPS),
        "kept": words(N_("Cut along the marks. Keep this half at home: card %(serial)s of %(name)s."))
        % {"serial": card.shown_serial, "name": _breakable(card.name)},
    }  # fmt: skip


def _breakable(name: str) -> str:
    """Return a name whose words may be broken where they are wider than the card."""
    return " ".join(ZERO_WIDTH_SPACE.join(word[start : start + WORD_CHARACTERS_MAX]
                                          for start in range(0, len(word), WORD_CHARACTERS_MAX))
                    for word in name.split())  # fmt: skip
