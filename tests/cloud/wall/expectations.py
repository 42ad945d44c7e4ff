"""Who may open which address: a line a route, written by hand from the design, never from the code.

Responsible for: the table that test_roles_and_routes.py holds the application to. A route without a line makes it red.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.cloud.wall.doors import NO, NOTHING, SIGN_IN, STEP_UP, YES

FAMILY = frozenset({"mother", "father", "stranger", "escort"})
DAY = frozenset({"teacher", "head", "office", "gate_staff", "day_care", "other_teacher", "other_head", "other_office"})
OFFICE = frozenset({"office", "head"})
ANY_OFFICE = OFFICE | {"other_office", "other_head"}
OTHER_OFFICE: dict[str, str] = dict.fromkeys(("other_office", "other_head"), NOTHING)
PARENTS = frozenset({"mother", "father"})  # of the child in the address
SCHOOL = DAY | {"officer", "auditor"}
FLEET = frozenset({"operator"})
DOORS = {"family": FAMILY, "school": SCHOOL, "fleet": FLEET}
ANY_DOOR = "any"
NEIGHBOURS = ("mother", "escort", "teacher", "head", "office", "auditor", "operator")


@dataclass(frozen=True)
class Line:
    """may: names answered with yes. others: the word for everybody else behind the same door; without the door's
    session the word is `sign in`. words: exceptions by name. form: fields, `{name}` stands for a thing of the district.
    door: "" where everybody may come, signed in or not; ANY_DOOR: whoever is signed in somewhere.
    counted: tries are counted for the address, and all these come from one: how it is refused is no matter of roles.
    """

    door: str
    may: frozenset[str] = frozenset()
    others: str = NO
    words: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, object] | None = None
    things: Mapping[str, str] = field(default_factory=dict)  # the word in the address -> which thing of town.py
    counted: bool = False
    once: bool = False  # the first who may takes it away: for the next one there is nothing
    names_a_thing: bool = False  # the address names something of one district: to the neighbour there is nothing

    def word(self, name: str) -> str:
        """Return what `name` shall be answered; a name that begins with neighbour_ is of the other district."""
        if name in self.words:
            return self.words[name]
        if not self.door:
            return YES
        if self.door == ANY_DOOR:
            return SIGN_IN if name == "nobody" else YES
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
    # --- the family: own children, own cards
    "GET /family/children": Line("family", FAMILY),
    "GET /family/children/{child_id}": Line("family", PARENTS, NOTHING),
    "POST /family/children/{child_id}/corrections": Line("family", PARENTS, NOTHING),
    "POST /family/children/{child_id}/escorts": Line("family", PARENTS, NOTHING),
    "POST /family/children/{child_id}/escorts/{right_id}/remove": Line(
        "family", PARENTS, NOTHING, things={"right_id": "second_right"}, once=True
    ),
    "POST /family/children/{child_id}/escorts/{right_id}/veto": Line(
        "family", PARENTS, NOTHING, {"mother": NO}  # she added this one: the other holder of authority may object
    ),
    "GET /family/cards": Line("family", FAMILY),
    "POST /family/cards/{serial}/lost": Line("family", frozenset({"father"}), NOTHING),
    # --- the school: people, the file of a child
    "GET /school/people": Line("school", ANY_OFFICE | {"officer", "auditor"}),
    "GET /school/children/{child_id}": Line("school", OFFICE | {"auditor"}, NOTHING),
    **dict.fromkeys(
        (
            "POST /school/children/{child_id}/corrections/{correction_id}",
            "POST /school/children/{child_id}/custody",
            "POST /school/children/{child_id}/custody/day",
            "POST /school/children/{child_id}/escorts",
            "POST /school/children/{child_id}/orders",
            "POST /school/children/{child_id}/protect",
        ),
        Line("school", OFFICE, NOTHING, {"auditor": NO}),
    ),
    "POST /school/children/{child_id}/escorts/{right_id}/remove": Line(
        "school", OFFICE, NOTHING, {"auditor": NO}, things={"right_id": "right_of_escort"}, once=True
    ),
    "POST /school/children/{child_id}/custody/{person_id}/end": Line(
        "school", OFFICE, NOTHING, {"auditor": NO}, things={"person_id": "father"}, once=True
    ),
    "POST /school/children/{child_id}/orders/{order_id}/{step}": Line(
        "school", OFFICE, NOTHING, {"auditor": NO}, things={"child_id": "minh"}
    ),
    # --- the school: what the head hears of
    "GET /school/alerts": Line("school", frozenset({"head", "other_head", "auditor"})),
    "POST /school/alerts/{alert_id}/seen": Line("school", frozenset({"head"}), NO, {"other_head": NOTHING}),
    # --- the school: staff, calendar
    "GET /school/staff": Line("school", ANY_OFFICE | {"officer", "auditor"}),
    "GET /school/staff/{person_id}": Line("school", OFFICE | {"officer", "auditor"}, NO, OTHER_OFFICE),
    "POST /school/staff/{person_id}/roles": Line("school", frozenset({"head", "officer"}), NO, OTHER_OFFICE),
    "POST /school/staff/{person_id}/roles/{grant_id}/end": Line(
        "school", frozenset({"head", "officer"}), NO, OTHER_OFFICE, once=True
    ),
    "POST /school/staff/{person_id}/powers": Line("school", frozenset({"head", "officer"}), NO, OTHER_OFFICE),
    "POST /school/staff/{person_id}/hours": Line("school", OFFICE, NO, OTHER_OFFICE),
    "GET /school/calendar": Line("school", ANY_OFFICE | {"officer"}),
    "POST /school/calendar/{school_id}/hours": Line("school", OFFICE | {"officer"}, NO, OTHER_OFFICE),
    "POST /school/calendar/{school_id}/dates": Line("school", OFFICE | {"officer"}, NO, OTHER_OFFICE),
    "POST /school/calendar/{school_id}/terms": Line("school", frozenset({"officer"}), NO, OTHER_OFFICE),
    # --- the school: the mode of its gates
    "GET /school/tablet": Line("school", DAY - {"teacher", "other_teacher"}),
    "POST /school/tablet/{school_id}": Line("school", OFFICE | {"gate_staff", "day_care"}, NO, OTHER_OFFICE),
    "GET /school/mode": Line("school", ANY_OFFICE),
    "POST /school/mode/{school_id}": Line("school", OFFICE, NO, OTHER_OFFICE, {"mode": "holiday"}),
    # --- the school: cards and phones of one adult, here the father
    "GET /school/cards": Line("school", ANY_OFFICE),
    "GET /school/people/{person_id}/cards": Line("school", OFFICE, NO, OTHER_OFFICE, things={"person_id": "father"}),
    "POST /school/people/{person_id}/cards": Line(
        "school", OFFICE, NO, OTHER_OFFICE, {"site": "{site}"}, things={"person_id": "father"}
    ),
    "GET /school/cards/{serial}/card.pdf": Line("school", OFFICE, NO, OTHER_OFFICE),
    "POST /school/cards/{serial}/replace": Line("school", OFFICE, NO, OTHER_OFFICE),
    "POST /school/cards/{serial}/lost": Line("school", OFFICE, NO, OTHER_OFFICE),
    "POST /school/cards/{serial}/block": Line("school", OFFICE, NO, OTHER_OFFICE),
    "POST /school/people/{person_id}/phone": Line("school", OFFICE, NO, OTHER_OFFICE, things={"person_id": "father"}),
    "POST /school/people/{person_id}/phones/{phone_id}/remove": Line(
        "school", OFFICE, NO, OTHER_OFFICE, things={"person_id": "mother"}
    ),
    # --- signing in; the door in the address is the fleet's
    "POST /api/passkeys/enter/start": OPEN,
    "POST /api/passkeys/enter/finish": OPEN,
    **dict.fromkeys(
        (f"POST /api/passkeys/{{door}}/{what}/start" for what in ("make", "prove")), Line("fleet", FLEET)
    ),
    **dict.fromkeys(  # an unreadable body is told first
        (f"POST /api/passkeys/{{door}}/{what}/finish" for what in ("make", "prove")), OPEN
    ),
    "GET /rules": OPEN,
    "GET /sign-in": OPEN,
    "POST /sign-in": Line("", counted=True),
    "GET /letter": OPEN,
    "POST /letter": Line("", counted=True),
    "GET /prove/{secret}": Line("family", FAMILY),
    "POST /prove/{secret}": Line("family", others=NOTHING),
    "POST /step-up/password": Line("family", FAMILY, counted=True),
    "POST /api/phone/forget": Line(
        "family", FAMILY, words=dict.fromkeys([*SCHOOL, *(f"neighbour_{name}" for name in SCHOOL)], YES),
    ),
    # --- the own login; the mother's key and session stand in the address
    "GET /account": Line(ANY_DOOR),
    "GET /account/first-passkey": Line("family", FAMILY),
    "POST /account/family/address": Line("family", others=NOTHING),  # there is no mail, and no demonstration
    "POST /account/family/password": Line("family", FAMILY),
    "POST /account/family/password/remove": Line("family", frozenset({"mother"}), NOTHING),
    **dict.fromkeys(
        (
            "POST /account/{door}/passkeys/{key_id}/name",
            "POST /account/{door}/passkeys/{key_id}/remove",
            "POST /account/{door}/sessions/{session_id}/end",
        ),
        Line(
            "family", frozenset({"mother"}), NOTHING, form={"name": "Phone"}, things={"door": "family_door"}, once=True
        ),
    ),
    "POST /account/{door}/sign-out-everywhere": Line("fleet", FLEET),
    "GET /school/people/{person_id}/letter": Line(
        "school", OFFICE | {"officer"}, NOTHING, things={"person_id": "father"}
    ),
    "POST /school/people/{person_id}/letter": Line(
        "school", OFFICE | {"officer"}, NOTHING, form={"door": "family"}, things={"person_id": "father"}
    ),
    "GET /step-up": Line("family", FAMILY),
    "POST /step-up/demo": Line("family", others=STEP_UP),  # there is no demonstration here
    "GET /fleet/gates": Line("fleet", FLEET),
    "GET /fleet/gates/stream": Line("fleet", FLEET),
    "GET /fleet/claim": Line("fleet", FLEET),
    "POST /fleet/claim/approve": Line("fleet", FLEET, form={"code": "a-b-c-d", "site": "1", "gate": "1", "name": "x"},
                                      words={"operator": NOTHING, "neighbour_operator": NOTHING}),
    "POST /fleet/claim/refuse": Line("fleet", FLEET, form={"code": "a-b-c-d"},
                                     words={"operator": NOTHING, "neighbour_operator": NOTHING}),
    # A gate without a name: no door, a district by its short name, which {district} of this test is not.
    "POST /api/gates/{district}/claims": Line("", words={"*": NOTHING}, json={"v": 1}),
    "GET /api/gates/{district}/claims/{claim_id}": Line("", words={"*": NOTHING}),
}
