"""How people, escorts, orders and custody say no: one family of codes. Words never say that a court has spoken."""

from typing import ClassVar

from cloud.kit.errors import N_, Answer, Refused


class PeopleRefused(Refused):
    """A right, a tie, an order or a correction that cannot be."""

    answers: ClassVar = {
        "ESCORTS_FULL": Answer(
            409, N_("Five people may already collect this child."), N_("Remove one of them first.")
        ),
        "ESCORT_FORBIDDEN": Answer(
            409, N_("This person cannot be given this right."), N_("Please see the office.")
        ),
        "ESCORT_ALREADY": Answer(
            409, N_("This person may already collect this child at that time."), N_("End the other right first.")
        ),
        "ESCORT_NOT_YOURS": Answer(
            403, N_("Only the office can change this right."), N_("Please see the office.")
        ),
        "ESCORT_UNKNOWN": Answer(404, N_("There is no such right."), N_("Reload the page and look.")),
        "ESCORT_VETO_OVER": Answer(
            409, N_("The time to object is over."), N_("You may remove this person, or ask the office.")
        ),
        "ESCORT_VETOED": Answer(
            409, N_("The other guardian objected to this person."), N_("Agree with each other, or ask the office.")
        ),
        "ORDER_NEEDS_ANOTHER": Answer(
            409, N_("A second person must do this."), N_("Ask a colleague of the office or the head.")
        ),
        "ORDER_UNKNOWN": Answer(404, N_("There is no such order, or it is over."), N_("Reload the page and look.")),
        "ORDER_ALREADY": Answer(409, N_("Such an order runs already."), N_("Reload the page and look.")),
        "ORDER_DONE": Answer(409, N_("Somebody did this before you."), N_("Reload the page and look.")),
        "ORDER_NO_EVIDENCE": Answer(400, N_("The document of the order is missing."), N_("Attach it and try again.")),
        "NOT_OF_THIS_SCHOOL": Answer(
            403, N_("Only the office or the head of the child's school may do this."), N_("Ask them.")
        ),
        "DATES_BACKWARDS": Answer(400, N_("The end lies before the beginning."), N_("Check the dates.")),
        "NO_WEEKDAY": Answer(400, N_("No day of the week is chosen."), N_("Choose at least one day.")),
        "CYCLE_WRONG": Answer(
            400, N_("This custody calendar cannot be."), N_("Give one to eight weeks, beginning on a Monday.")
        ),
        "NAME_MISSING": Answer(
            400, N_("A name is missing or too long."), N_("Write the name as on the identity card.")
        ),
        "CLOSED_TODAY": Answer(409, N_("The school is closed for today."), N_("Choose another day.")),
        "CORRECTION_UNKNOWN": Answer(404, N_("There is no such proposal."), N_("Reload the page and look.")),
        "CORRECTION_DECIDED": Answer(409, N_("This proposal was decided before."), N_("Reload the page and look.")),
        "CORRECTION_STALE": Answer(
            409, N_("The file was changed since this was proposed."), N_("Decline it and ask for a new proposal.")
        ),
        "CORRECTION_EMPTY": Answer(400, N_("Nothing would change."), N_("Change what is wrong and send it again.")),
    }
