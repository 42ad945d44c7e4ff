"""Story 2: grandmother comes on her day with a printed card, not on another, and loses it; staff answer on a tablet.

Her day is today's weekday; that "Wednesday" comes is played by moving her day to another weekday, since nobody turns
the clocks of a whole school. Everything else is as it would be: pages, the printed PDF, the camera, the signed lists.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import cv2
import numpy as np
import pypdfium2

from protocols.passes import INTENT_CONFIRM, OUT
from simulators.clock import now
from simulators.phone import Phone, http_client, make_phone
from simulators.processes import WorldFault
from simulators.story import SCHOOL, Json, Story
from simulators.tablet import Tablet
from simulators.visitor import Visitor, choices, ids_after, right_of

MOTHER, GRANDMOTHER = f"{SCHOOL}-mother-1", f"{SCHOOL}-grandmother-1"
PRINT_SCALE = 3  # 216 pixels an inch: a module of the card is 10 pixels or more
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def play_card(story: Story) -> Json:
    """Play it; return the proof: what the gate said each time, and how long a lost card still counted."""
    family, office = _Family(story), Visitor(story.stack, f"{SCHOOL}-office")
    today, version = family.today(), story.list_version()
    family.comes_on(today)
    story.wait_for_settled_list(version)
    story.tell(f"The mother lets grandmother collect on {WEEKDAYS[today]}s. Today is {WEEKDAYS[today]}.")
    serial, text = _printed_card(story, office, family.children[0])
    story.tell("The office prints grandmother a card: a code on paper, no phone.")
    tablet = story.tablet()
    tablet.begin(story.held_up(staff_text(staff_phone(story, office))))
    story.tell("A teacher opens the tablet beside the gate for her shift: her own pass, and four digits on its screen.")
    accepted = _on_her_day(story, family, tablet, text)
    refused = _on_another_day(story, family, tablet, text, (today + 1) % 7)
    tablet.close()
    lost_seconds = _lost(story, text, serial)
    offline = _offline(story)
    return {"her_day": accepted, "another_day": refused, "lost_refused_after_s": round(lost_seconds, 2), **offline}


def _on_her_day(story: Story, family: _Family, tablet: Tablet, text: str) -> str:
    family.bring_in()
    asked = story.hold_up(text)
    story.must(asked["code"] == "STAFF_CONFIRM" and "card" in asked["asks"], f"the card asks staff, not {asked}")
    shown, pulses = tablet.waits(), story.status()["pulses"]
    story.must(shown["what"] == "card" and "card" in shown["asks"], f"the card asks, not {shown['asks']}")
    story.must(not _not_today(shown), "no child's own rule asks today")
    story.tell("16:30, she shows the card: amber. The tablet shows whose it is: a card can be copied, so staff look.")
    confirmed = tablet.answer(shown, confirm=True, direction=OUT)
    left = sorted(child for child, direction in confirmed["acts"] if direction == OUT)
    story.must(confirmed["code"] == "CONFIRMED" and len(left) == len(shown["children"]), f"one press, not {confirmed}")
    story.must(story.status()["pulses"] == pulses + 1, "the door opens once")
    story.tell(f"One press, because it is {WEEKDAYS[family.today()]}: the door opens, the children are out.")
    return "CONFIRMED"


def _on_another_day(story: Story, family: _Family, tablet: Tablet, text: str, weekday: int) -> str:
    version = story.list_version()
    family.comes_on(weekday)
    story.wait_for_settled_list(version)
    family.bring_in()
    asked = story.hold_up(text)
    story.must(asked["code"] == "STAFF_CONFIRM" and not asked["strike"], f"amber, not {asked['code']}")
    shown, pulses = tablet.waits(), story.status()["pulses"]
    story.must(_not_today(shown) == len(shown["children"]), "the tablet says “not today” beside each child")
    declined = tablet.answer(shown, confirm=False)
    story.must(declined["code"] == "DECLINED" and not declined["acts"], f"declined, not {declined}")
    story.must(story.status()["pulses"] == pulses, "the door stays shut")
    story.tell(f"Her day is now {WEEKDAYS[weekday]}: amber, the tablet says “not today”. Staff decline, nobody leaves.")
    return "NOT_TODAY"


def _not_today(shown: Json) -> int:
    """How many children the tablet calls "not today"."""
    return sum(bool(child["not_today"]) for child in shown["children"])


def _lost(story: Story, text: str, serial: str) -> float:
    mother = Visitor(story.stack, MOTHER)
    version, began = story.list_version(), time.monotonic()
    mother.send(f"/family/cards/{serial}/lost")
    seconds = story.seconds_to_newer_list(version, began)
    refused = story.hold_up(text)
    story.must((refused["code"], refused["signal"], refused["strike"]) == ("REVOKED", "neutral_red", False),
               f"a lost card is refused, not {refused['code']}")  # fmt: skip
    story.tell(f"The card is lost, and the mother reports it: {seconds:.1f} s later it is refused, in neutral red.")
    return seconds


def _offline(story: Story) -> Json:
    with story.line_cut() as first:
        time.sleep(2.0)
        later = story.status()
    age = later.get("list_age_s")
    story.must(age is not None and age > first["list_age_s"], "an offline gate says how old its list is")
    story.tell(f"The line is cut: the gate works on, and says that its list is {age} s old.")
    return {"offline_list_age_s": age}


class _Family:
    """The mother at her page and with her phone, for both children."""

    def __init__(self, story: Story) -> None:
        self._story, self._mother = story, Visitor(story.stack, MOTHER)
        self.children = ids_after(self._mother.page("/family/children"), "/family/children/")
        self._phone = next(phone for phone in story.stack.phones() if phone.holder == MOTHER)
        self._grandmother = next(
            row["given"] for row in story.stack.district["guardians"] if row["key"] == GRANDMOTHER
        )

    def today(self) -> int:
        zone = next(school["timezone"] for school in self._story.stack.district["schools"])
        return datetime.fromtimestamp(now(), UTC).astimezone(ZoneInfo(zone)).weekday()

    def comes_on(self, weekday: int) -> None:
        """End grandmother's rights and give her others, for one weekday."""
        for child in self.children:
            path = f"/family/children/{child}"
            self._mother.prove(path)
            self._mother.send(f"{path}/escorts/{right_of(self._mother.page(path), self._grandmother)}/remove")
            people = choices(self._mother.page(path))
            person = next(one for name, one in people.items() if name.startswith(self._grandmother))
            self._mother.send(f"{path}/escorts", person=person, how="days", day=str(weekday))

    def bring_in(self) -> None:
        """The mother brings the children with her phone."""
        with http_client(self._story.stack.web_url) as client:
            self._phone.refresh(client, now())
        answer = self._story.hold_up(self._phone.text(self._phone.passes[0], now()))
        self._story.must(answer["code"] == "OPEN", f"the mother brings the children in, not {answer['code']}")


def _printed_card(story: Story, office: Visitor, child: str) -> tuple[str, str]:
    """Issue and print grandmother's card; return its serial and what a camera reads on the paper."""
    person = person_named(story, office, child, GRANDMOTHER)
    path = f"/school/people/{person}/cards"
    office.prove(path)
    site = story.stack.district["schools"][0]["site"]
    office.send(path, site=str(site))
    page = office.page(path)
    serial = page.split('href="/school/cards/')[-1].split("/", 1)[0]
    story.must(serial.isalnum(), "the page leads to the printed card")
    return serial, read_paper(office.document(f"/school/cards/{serial}/card.pdf"))


def person_named(story: Story, office: Visitor, child: str, key: str) -> str:
    """Return the id of a guardian as the lists of the child's file show it to the office."""
    row = next(one for one in story.stack.district["guardians"] if one["key"] == key)
    path = f"/school/children/{child}"
    office.prove(path)
    people = choices(office.page(path))
    return people[f"{row['given']} {row['family']}".strip()]


def read_paper(pdf: bytes) -> str:
    """Return the text of the one code on a printed page."""
    picture = pypdfium2.PdfDocument(pdf)[0].render(scale=PRINT_SCALE, grayscale=True).to_numpy()
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(np.ascontiguousarray(picture.squeeze()))
    if not text:
        raise WorldFault("The printed card cannot be read.")
    return text


def staff_phone(story: Story, office: Visitor) -> Phone:
    """Pair a phone of the gate's staff by a code that the office gives out."""
    page = office.page("/school/staff")
    row = next(one for one in story.stack.district["staff"] if one["key"] == f"{SCHOOL}-gate-staff")
    for person in ids_after(page, "/school/staff/"):
        if row["given"] in office.page(f"/school/staff/{person}"):
            phone = make_phone(row["key"])
            with http_client(story.stack.web_url) as client:
                phone.pair(client, pairing_code(office, person), now())
            return phone
    raise WorldFault("The gate's staff is not on the page of staff.")


def pairing_code(office: Visitor, person: str) -> str:
    """Let the office show eight digits for a person."""
    path = f"/school/people/{person}"
    office.prove(f"{path}/cards")
    told = office.send(f"{path}/phone")
    return told.split('class="digits"><b>')[1].split("<", 1)[0]


def staff_text(phone: Phone) -> str:
    """Return the text of a staff pass that confirms what waits at the gate."""
    return phone.staff_text(phone.staff_passes[0], now(), INTENT_CONFIRM)
