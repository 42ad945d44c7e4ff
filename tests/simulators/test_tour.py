"""The tour's web server, before its page is there and where its port is taken."""

import pytest

from simulators.processes import WorldFault, free_port, is_port_free, is_port_open
from simulators.tour.server import listen_at


def test_the_tour_can_be_knocked_at_from_the_moment_its_address_is_told() -> None:
    port = free_port()
    with listen_at(port):
        assert is_port_open(port)
        assert not is_port_free(port)


def test_a_port_that_another_program_has_is_named_with_what_to_do_and_stays_the_others() -> None:
    port = free_port()
    with listen_at(port):
        with pytest.raises(WorldFault, match=f"Port {port}, on which the tour page shall be, is taken"):
            listen_at(port)
        assert is_port_open(port)
