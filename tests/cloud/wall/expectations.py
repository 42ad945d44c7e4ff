"""Who may open which address: a line a route, written by hand from the design, never from the code.

Responsible for: the table that test_roles_and_routes.py holds the application to. A route without a line makes it red.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.cloud.wall.doors import NO, NOTHING, SIGN_IN, YES

FAMILY = frozenset({"mother", "father", "stranger", "escort"})
DAY = frozenset({"teacher", "head", "office", "gate_staff", "other_teacher", "other_head", "other_office"})
SCHOOL = DAY | {"officer", "auditor"}
FLEET = frozenset({"operator"})
DOORS = {"family": FAMILY, "school": SCHOOL, "fleet": FLEET}
NEIGHBOURS = ("mother", "escort", "teacher", "head", "office", "auditor", "operator")


@dataclass(frozen=True)
class Line:
    """may: names answered with yes. others: the word for everybody else behind the same door; without the door's
    session the word is `sign in`. words: exceptions by name. form: fields, `{name}` stands for a thing of the district.
    door: "" where everybody may come, signed in or not.
    """

    door: str
    may: frozenset[str] = frozenset()
    others: str = NO
    words: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    names_a_thing: bool = False  # the address names something of one district: to the neighbour there is nothing

    def word(self, name: str) -> str:
        """Return what `name` shall be answered; a name that begins with neighbour_ is of the other district."""
        if name in self.words:
            return self.words[name]
        if not self.door:
            return YES
        role = name.removeprefix("neighbour_")
        if role not in DOORS[self.door]:
            return SIGN_IN
        if name != role and self.names_a_thing:
            return NOTHING
        return YES if role in self.may else self.others


OPEN = Line("")

EXPECTED: dict[str, Line] = {
    "GET /": OPEN,
    "GET /privacy-at-the-gate": OPEN,
    "GET /health": Line("", words={"*": "503"}),  # as this test has no broker
    "GET /metrics": OPEN,
    "GET /openapi.json": OPEN,
    "GET /pass": OPEN,
    "GET /pass/sw.js": OPEN,
    "GET /pass/manifest.webmanifest": OPEN,
    "GET /enter/{token}": Line("", others=NOTHING, words={"*": NOTHING}),
    "POST /enter/{token}": Line("", words={"*": NOTHING}),
    "POST /sign-out/{door}": OPEN,
    # An unreadable body, as a code that is wrong is counted for the address: the sixth asker would be told to wait.
    "POST /api/pair/start": OPEN,
    "POST /api/pair/finish": OPEN,
    # Staff hold passes as well: whoever is signed in at the family's or the school's door asks for theirs.
    "GET /api/passes": Line(
        "family", FAMILY,
        words=dict.fromkeys([*SCHOOL, *(f"neighbour_{name}" for name in SCHOOL)], YES),
    ),
    "GET /family": Line("family", FAMILY),
    "GET /family/stream": Line("family", FAMILY),
    "GET /school/day": Line("school", DAY),
    # It opens for everybody behind the door, asks again who they are, and ends with no word for those who may not.
    "GET /school/day/stream": Line("school", SCHOOL),
    "GET /fleet/gates": Line("fleet", FLEET),
    "GET /fleet/gates/stream": Line("fleet", FLEET),
}
