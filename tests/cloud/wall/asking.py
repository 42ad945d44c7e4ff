"""Every function of a slice that takes a transaction and a district, and arguments to ask it with, of either district.

Responsible for: finding services and queries, making arguments from what a parameter is called and how it is typed.
A function that cannot be asked is an error here, so that nobody forgets one. Not responsible for: what may come out.
"""

import enum
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import cloud
from cloud.kit.db import Transaction
from cloud.passes.keys import KeyRing
from tests.cast import NOW, TIMEZONE
from tests.cloud.wall.town import MARK, Town

MODULES = ("service", "queries", "escorts", "orders", "custody", "corrections", "staff", "grants", "letters", "rights",
           "roster", "ledger_queries", "alerts", "messages", "configurations", "rollouts", "modes", "at_the_gate",
           "claims", "claim_queries", "updates", "certificates")
# Not asked, and why.
NOT_ASKED = {
    "cloud.attendance.service.record_batch": "takes a gate's signed segments; tests/cloud/ingest asks it",
    "cloud.attendance.service.school_day": "takes a recorded fact",
    "cloud.attendance.service.raise_incidents": "takes recorded facts",
    "cloud.attendance.ledger_queries.insert_receipts": "takes columns of a batch",
    "cloud.attendance.ledger_queries.insert_forks": "takes columns of a batch",
    "cloud.attendance.queries.insert_events": "takes columns of a batch",
    "cloud.attendance.queries.insert_incidents": "takes columns of a batch",
    "cloud.attendance.queries.merge_days": "takes columns of a batch",
    "cloud.fleet.certificates.renew": "takes the authority's key and certificate; tests/cloud/fleet asks it",
    "cloud.fleet.certificates.sign_waiting": "takes the authority's key and certificate; tests/cloud/fleet asks it",
    "cloud.passes.service.keep_document": "takes a function that signs",
}

UNHURRIED = [
    HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture,
    HealthCheck.large_base_example,
]  # what a database costs is no fault of an example


def asked_functions() -> Iterator[Callable[..., Any]]:
    """Yield every public function of services and queries that takes (tx, district_id, …)."""
    for module in pkgutil.walk_packages(cloud.__path__, "cloud."):
        if module.name.rpartition(".")[2] not in MODULES or module.name.count(".") < 2:
            continue
        loaded = importlib.import_module(module.name)
        for name, function in inspect.getmembers(loaded, inspect.isfunction):
            names = list(inspect.signature(function).parameters)
            is_own = function.__module__ == loaded.__name__ and not name.startswith("_")
            if is_own and names[:2] == ["tx", "district_id"] and name_of(function) not in NOT_ASKED:
                yield function


def name_of(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__name__}"


class Arguments:
    """Strategies for the parameters of a function: ids, numbers and words of both districts, and of nobody."""

    def __init__(self, town: Town, ring: KeyRing) -> None:
        both = [side.ids for side in (town.here, town.there)]
        self._uuids = sorted({value for ids in both for value in ids.values() if isinstance(value, UUID)})
        self._numbers = sorted({value for ids in both for value in ids.values() if isinstance(value, int)})
        self._words = [MARK, "a", "%", "'", "", *(str(ids["serial"]) for ids in both)]
        self._bytes = [ids["hash_a"] for ids in both] + [bytes.fromhex(ids["cti"]) for ids in both]
        self._ring = ring

    def of(self, function: Callable[..., Any]) -> SearchStrategy[dict[str, Any]]:
        """Return a strategy for all arguments after tx and district_id."""
        hints = typing.get_type_hints(function)
        parameters = list(inspect.signature(function).parameters.values())[2:]
        return st.fixed_dictionaries({one.name: self._typed(hints[one.name], one.name) for one in parameters})

    def _typed(self, kind: Any, name: str) -> SearchStrategy[Any]:
        if name == "timezone":
            return st.just(TIMEZONE)
        simple: dict[Any, SearchStrategy[Any]] = {
            UUID: st.sampled_from(self._uuids), str: st.sampled_from(self._words), bool: st.booleans(),
            int: st.sampled_from([0, 1, 127, *self._numbers]), float: st.just(0.5), bytes: st.sampled_from(self._bytes),
            datetime: st.sampled_from([NOW, NOW + timedelta(days=82)]), date: st.just(NOW.date()), object: st.none(),
            time: st.just(time(8)), timedelta: st.just(timedelta(days=1)), KeyRing: st.just(self._ring), Any: st.none(),
            types.NoneType: st.none(),
        }  # fmt: skip
        if kind in simple:
            return simple[kind]
        origin, inside = typing.get_origin(kind), typing.get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return st.one_of([self._typed(one, name) for one in inside])
        if origin is typing.Literal:
            return st.sampled_from(inside)
        if origin in (list, set, frozenset, tuple, Sequence, *_COLLECTIONS):
            several = [one for one in inside if one is not Ellipsis]
            if origin is tuple and len(inside) > 1 and Ellipsis not in inside:
                return st.tuples(*(self._typed(one, name) for one in several))
            return st.lists(self._typed(several[0], name), max_size=3).map(_MAKE.get(origin, list))
        if origin in (dict, Mapping):
            return st.just({})
        if inspect.isclass(kind) and issubclass(kind, enum.Enum):
            return st.sampled_from(list(kind))
        if is_dataclass(kind):
            hints = typing.get_type_hints(kind)
            return st.builds(kind, **{one.name: self._typed(hints[one.name], one.name) for one in fields(kind)})
        raise NotImplementedError(f"no argument for {name}: {kind}; write it in asking.py")


_COLLECTIONS = (typing.get_origin(typing.Iterable[int]), typing.get_origin(typing.Collection[int]))
_MAKE: dict[Any, Callable[[list[Any]], Any]] = {set: set, frozenset: frozenset, tuple: tuple}
_ = Transaction  # the first parameter, which the caller gives
