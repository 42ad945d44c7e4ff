"""How the cloud says no, and how it says that it is broken.

Responsible for: the family Refused (a code, an HTTP status, words to translate); the answer of each as JSON for
`/api` and as a page for people. A slice declares its own codes by a subclass with its own `answers` table.
Not responsible for: the gates' reason codes (protocols/reasons.py). Words are English msgids, chosen at the edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


def N_(text: str) -> str:
    """Mark a text for the catalogue without translating it here."""
    return text


@dataclass(frozen=True)
class Answer:
    """What the world is told for a code. message: what happened; what_to_do: the next step for the reader."""

    status: int
    message: str
    what_to_do: str


INTERNAL = Answer(500, N_("Something broke on our side."), N_("Nothing was changed. Try again in a minute."))


class Refused(Exception):
    """An expected no. `facts` go to the log and to `{name}` places of the words, never secrets or names.

    >>> raise Refused("NOT_FOUND")
    >>> class PairRefused(Refused):
    ...     answers: ClassVar = {"PAIR_CODE_UNKNOWN": Answer(404, N_("What happened."), N_("What to do."))}
    """

    answers: ClassVar[Mapping[str, Answer]] = {}

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts

    @property
    def answer(self) -> Answer:
        """Return the words and the status of this code; an undeclared code is a fault of ours (500)."""
        for family in type(self).__mro__:
            table = vars(family).get("answers", {})
            if self.code in table:
                return table[self.code]
        return INTERNAL


Refused.answers = {
    "BAD_INPUT": Answer(400, N_("The request cannot be read."), N_("Check what was sent and try again.")),
    "SIGN_IN": Answer(401, N_("You are not signed in."), N_("Open your sign-in link, or ask the office for one.")),
    "STEP_UP": Answer(403, N_("Please prove that it is you."), N_("Use your passkey or password, then repeat.")),
    "PASSKEY_NEEDED": Answer(403, N_("This door needs a passkey."), N_("Make your passkey first, then open it again.")),
    "NOT_YOURS": Answer(403, N_("You may not do this."), N_("Ask the office if you think you should.")),
    "BAD_ORIGIN": Answer(403, N_("This form came from another site."), N_("Open the page again and repeat.")),
    "NOT_FOUND": Answer(404, N_("There is nothing here."), N_("Go back to the first page.")),
    "METHOD": Answer(405, N_("This address does not take that."), N_("Go back to the first page.")),
    "RULE_BROKEN": Answer(409, N_("This does not fit with what is already stored."), N_("Reload the page and look.")),
    "TOO_LARGE": Answer(413, N_("This is too large."), N_("Send something smaller.")),
    "TOO_MANY": Answer(429, N_("Too many tries."), N_("Wait a few minutes and try again.")),
    "INTERNAL": INTERNAL,
    "AWAY": Answer(503, N_("The database cannot be reached."), N_("Nothing was lost. Try again in a minute.")),
}

STATUS_CODES = {400: "BAD_INPUT", 401: "SIGN_IN", 403: "NOT_YOURS", 404: "NOT_FOUND", 405: "METHOD", 413: "TOO_LARGE",
                422: "BAD_INPUT", 429: "TOO_MANY", 503: "AWAY"}
"""Which code of ours stands for a status that the framework itself answers."""

LEADS_TO = {"STEP_UP": "/step-up", "PASSKEY_NEEDED": "/account/first-passkey"}
"""Where a person is led who meets one of these codes on a page; `next` says where to come back to."""
