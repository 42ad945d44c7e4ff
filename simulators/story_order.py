"""Story 3, the court order: it blocks at once on one person's word, at the gate within seconds, and tells nobody why.

The father is a listed escort of two children; the order is about one of them. What is refused is refused by the
database too: asked here as the application's own role, past all pages.
"""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from protocols.passes import IN, OUT
from simulators.clock import now
from simulators.morning import percentiles
from simulators.phone import HeldPass, Phone, http_client, make_phone
from simulators.processes import wait_until
from simulators.story import SCHOOL, Json, Story
from simulators.story_card import pairing_code, person_named, staff_phone, staff_text
from simulators.visitor import Visitor, choices, free_places, ids_after

FATHER = f"{SCHOOL}-father-1"
ALERT_SECONDS_MAX = 20.0


def play_order(story: Story, orders: int) -> Json:
    """Play it, then enter so many further orders; return the proof: SQLSTATE, times of the alert and of the lists."""
    office, head = Visitor(story.stack, f"{SCHOOL}-office"), Visitor(story.stack, f"{SCHOOL}-head")
    own = ids_after(Visitor(story.stack, FATHER).page("/family/children"), "/family/children/")
    child = own[0]
    path = f"/school/children/{child}"
    father = person_named(story, office, child, FATHER)
    phone, held = _father(story, office, father)
    both_in = story.hold_up(phone.text(held, now(), IN))
    story.must(both_in["code"] == "OPEN", f"the father brings both children, not {both_in['code']}")
    story.tell("08:05, the father brings both children with his phone: green. He is a listed escort of both.")
    free = free_places(office.page(path))
    seconds = _order(story, office, path, father)
    story.tell(f"The office enters an order about one child, on one person's word: at the gate {seconds:.1f} s later.")
    page = office.page(path)
    story.must(free_places(page) == free + 1, "his place is free again")
    order = ids_after(page, f"{path}/orders/")[0]
    status, _ = office.try_to_send(f"{path}/orders/{order}/confirm")
    story.must(status >= 400, "the same person cannot confirm it")
    head.prove(path)
    head.send(f"{path}/orders/{order}/confirm")
    story.tell("The head confirms it: a second person must. The running right is cut, its place is free.")
    sqlstate = _again(story, office, path, child, father)
    alert_ms = _he_scans(story, phone, held)
    _the_other_child(story, office, phone, held)
    latency = _measured(story, office, own, orders)
    return {"sqlstate": sqlstate, "alert_ms": alert_ms, "order_to_gate_s": round(seconds, 2), **latency}


def _father(story: Story, office: Visitor, person: str) -> tuple[Phone, HeldPass]:
    phone = make_phone(FATHER)
    with http_client(story.stack.web_url) as client:
        phone.pair(client, pairing_code(office, person), now())
    return phone, phone.passes[0]


def _order(story: Story, office: Visitor, path: str, person: str) -> float:
    """Enter an order; return after how many seconds the gate holds it."""
    office.prove(path)
    version, began = story.list_version(), time.monotonic()
    office.send(f"{path}/orders", file=b"%PDF-1.7 the court's paper", person=person)
    return story.seconds_to_newer_list(version, began)


def _again(story: Story, office: Visitor, path: str, child: str, person: str) -> str:
    """Try to give him the right again, on the page and past it; return SQLSTATE and the name of the rule."""
    status, _ = office.try_to_send(f"{path}/escorts", person=person, how="days", day="0")
    story.must(status in (400, 409), f"the page refuses to give it again, not {status}")
    district = story.stack.seeded["district"]
    with psycopg.connect(story.stack.database_url, autocommit=True) as database:
        database.execute("SELECT set_config('app.district', %s, false)", (district,))
        try:
            database.execute(
                "INSERT INTO escort_right (district_id, id, child_id, person_id, kind, slot, period)"
                " VALUES (%s, gen_random_uuid(), %s, %s, 'may_collect', 5, tstzrange(now(), NULL))",
                (district, child, person),
            )
            refused = "nothing"
        except psycopg.errors.ExclusionViolation as error:
            refused = f"{error.sqlstate} {error.diag.constraint_name}"
    story.must(refused == "23P01 escort_right_never_against_order", f"the database refuses it, not {refused}")
    story.tell(f"Giving it again is refused by the page, and past it by the database: {refused}.")
    return refused


def _he_scans(story: Story, phone: Phone, held: HeldPass) -> int:
    """He comes for the child all the same; return after how many milliseconds the head had the alert."""
    began = now()
    answer = story.hold_up(phone.text(held, now(), OUT, childmask=1 << held.children[0]["bit"]))
    told = (answer["code"], answer["signal"], answer["strike"])
    story.must(told == ("CUSTODY", "neutral_red", False), f"neutral red, not {told}")
    story.tell("16:30, he scans for that child: neutral red, “Please see the office”. The door stays shut.")
    alert = wait_until(lambda: _alert(story, began), ALERT_SECONDS_MAX, "no alert came", pause=0.2)
    alert_ms = round(alert["raised_at"] * 1000 - answer["at_ms"])
    story.tell(f"Silently an alert stands with the head, {alert_ms} ms after the gate's answer.")
    return alert_ms


def _alert(story: Story, since: float) -> Json | None:
    lines = map(json.loads, story.stack.cloud("events", "incidents", "--json").splitlines())
    return next((line for line in lines if line["code"] == "CUSTODY" and line["raised_at"] >= since - 1), None)


def _the_other_child(story: Story, office: Visitor, phone: Phone, held: HeldPass) -> None:
    asked = story.hold_up(phone.text(held, now(), OUT, childmask=1 << held.children[1]["bit"]))
    story.must(asked["code"] == "STAFF_CONFIRM" and asked["refused"] == [], f"as for anybody, not {asked['code']}")
    confirmed = story.hold_up(staff_text(staff_phone(story, office)))
    story.must(confirmed["code"] == "CONFIRMED" and confirmed["strike"], f"staff confirm, not {confirmed['code']}")
    story.tell("For his other child, without an order, all is as ever: staff confirm, green, the door opens.")


def _measured(story: Story, office: Visitor, own: list[str], orders: int) -> dict[str, Any]:
    """Enter further orders about other families' children; return how long each took to the gate."""
    if not orders:
        return {}
    taken: list[float] = []
    for child in [one for one in ids_after(office.page("/school/people?q=а"), "/school/children/") if one not in own]:
        path = f"/school/children/{child}"
        office.prove(path)
        for person in list(choices(office.page(path)).values())[:2]:
            if len(taken) < orders:
                status_before = story.list_version()
                began = time.monotonic()
                status, _ = office.try_to_send(f"{path}/orders", file=b"%PDF-1.7 another", person=person)
                if status == 303:
                    taken.append(story.seconds_to_newer_list(status_before, began))
    spread = {name: round((value or 0) / 1000, 2) for name, value in percentiles([s * 1000 for s in taken]).items()}
    story.must(len(taken) == orders, f"{len(taken)} orders could be entered, not {orders}")
    story.tell(f"{orders} further orders: at the gate after {spread['p50']} s (p50), {spread['p95']} s (p95).")
    return {"orders": orders, "order_to_gate_p50_s": spread["p50"], "order_to_gate_p95_s": spread["p95"]}
