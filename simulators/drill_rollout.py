"""The drill `rollout` (STORIES 8): ring 1 gets a configuration that fails its health check, and goes back by itself.

First a good change goes through both rings; then one that blinds the camera is told to ring 1: the gate tries it, sees
nothing, runs its last good one again and says so. The rollout ends there, and ring 2 was never told.
"""

from __future__ import annotations

import time

from simulators.drill import Drill, Json

RING_ONE, RING_TWO = 11, (12, 21)
GATES = (RING_ONE, *RING_TWO)
RINGS = ("--ring", str(RING_ONE), "--ring", ",".join(map(str, RING_TWO)))
GOOD = ("--set", "door.open_seconds=4.5")
BLIND = ("--set", 'camera.source="folder"', "--set", "camera.path=nothing-here")
ROLLOUT_SECONDS_MAX = 60.0


def play(drill: Drill) -> Json:
    """Play it; return the proof."""
    drill.tell(f"Ring 1 is gate {RING_ONE}, ring 2 the gates {' and '.join(map(str, RING_TWO))}.")
    good = _rolled_out(drill, GOOD)
    drill.must(good["outcome"] == "done", f"a good change ends {good['outcome']}")
    drill.tell("A longer access time went to ring 1, then to ring 2: each gate tried it, was well, and kept it.")
    before = {gate: _state(drill, gate) for gate in GATES}
    began = time.monotonic()
    failed = _rolled_out(drill, BLIND)
    states = {row["gate"]: (row["state"], row["code"]) for row in failed["gates"]}
    drill.must(failed["outcome"] == "failed", f"a blinding change ends {failed['outcome']}")
    drill.must(states[RING_ONE] == ("failed", "CAMERA"), f"gate {RING_ONE} is {states[RING_ONE]}")
    drill.tell(f"Gate {RING_ONE} tried a camera that is not there, saw nothing, and gave it up: rejected, CAMERA.")
    drill.until(lambda: _runs_as(drill, before[RING_ONE]), "ring 1 does not run its last good one", ROLLOUT_SECONDS_MAX)
    back_s = round(time.monotonic() - began, 1)
    drill.tell(f"It runs its last good configuration and sees again, {back_s} s after the change began.")
    for gate in RING_TWO:
        drill.must(states[gate] == ("waiting", None), f"gate {gate} was told")
        drill.must(_state(drill, gate) == before[gate], f"gate {gate} is not as it was: {_state(drill, gate)}")
    drill.tell("Ring 2 is untouched: never told, never started again, the same configuration.")
    return {
        "good": good["outcome"], "blinding": failed["outcome"], "code": states[RING_ONE][1], "back_after_s": back_s,
        "ring_2": "untouched", "told": {row["gate"]: row["told_at"] for row in failed["gates"]},
    }  # fmt: skip


def _rolled_out(drill: Drill, change: tuple[str, ...]) -> Json:
    """Start a rollout and wait for its end, whatever it is; tell each gate's change of state as it happens."""
    drill.operator("rollout", "start", *change, *RINGS)
    drill.tell(f"The operator starts a rollout of {' '.join(change[1::2])}.")
    seen: dict[int, str] = dict.fromkeys(GATES, "waiting")

    def ended() -> Json | None:
        [told] = drill.operator("rollout", "status")
        for row in told["gates"]:
            if row["state"] != seen[row["gate"]]:
                seen[row["gate"]] = row["state"]
                drill.tell(f"gate {row['gate']}: {row['state']}")
        return told if told["outcome"] != "running" else None

    return drill.until(ended, "the rollout does not end", ROLLOUT_SECONDS_MAX)


def _state(drill: Drill, gate: int) -> Json:
    """What must not change of a gate that is not told: its boot, its settings."""
    status = drill.until(lambda: drill.gate(gate), f"gate {gate} does not answer")
    return {"boot": status["boot"], "configuration": status["configuration"]}


def _runs_as(drill: Drill, before: Json) -> bool:
    """Whether ring 1's gate runs what it ran, and is healthy."""
    status = drill.gate(RING_ONE)
    if not status or status["broker"] != "up":
        return False
    runs, well = status["configuration"], status["healthy"] and not status["configuration"]["trial"]
    return well and runs["state"] == "applied" and runs["runs"] > before["configuration"]["runs"]
