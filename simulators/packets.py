"""MQTT 5 packets as a line between gate and broker sees them: where one ends, and what a PUBLISH carries.

Responsible for: cutting a stream of bytes into whole packets; topic, packet id and payload of a PUBLISH; the same
PUBLISH marked as sent again; the packet id of a PUBACK. PURE.
Not for: carrying them (proxy.py), nor any other packet's meaning: those pass as they are.
Obeys MQTT 5.0 sections 1.5.5, 2.1 and 3.3 (OASIS, 2019).
"""

from __future__ import annotations

from typing import NamedTuple

PUBLISH, PUBACK = 3, 4
PACKET_BYTES_MAX = 1 << 20  # of what this line carries; brokers and Portillon bound theirs far lower
LENGTH_BYTES_MAX = 4
_DUP = 0x08


class NotMqtt(Exception):
    """Bytes that are no MQTT packet, or one over the bound of this line."""


class Publish(NamedTuple):
    """What a PUBLISH says. packet_id is 0 with QoS 0."""

    topic: str
    qos: int
    packet_id: int
    retain: bool
    payload: bytes


def take_packet(buffer: bytearray) -> bytes | None:
    """Remove the first whole packet from the buffer and return it, None while it is not whole. Raises NotMqtt."""
    if len(buffer) < 2:
        return None
    length, used = _varint(buffer, 1)
    if used == 0:
        return None
    size = 1 + used + length
    if size > PACKET_BYTES_MAX:
        raise NotMqtt(f"a packet of {size} bytes")
    if len(buffer) < size:
        return None
    packet = bytes(buffer[:size])
    del buffer[:size]
    return packet


def kind_of(packet: bytes) -> int:
    return packet[0] >> 4


def read_publish(packet: bytes) -> Publish | None:
    """Return what a PUBLISH carries, None for any other packet. Raises NotMqtt for one that is cut short."""
    if kind_of(packet) != PUBLISH:
        return None
    qos = packet[0] >> 1 & 3
    _, used = _varint(packet, 1)
    try:
        at = 1 + used
        end = at + 2 + int.from_bytes(packet[at : at + 2], "big")
        topic = packet[at + 2 : end].decode()
        packet_id = int.from_bytes(packet[end : end + 2], "big") if qos else 0
        end += 2 if qos else 0
        properties, used = _varint(packet, end)
    except (UnicodeDecodeError, IndexError) as error:
        raise NotMqtt("a PUBLISH of another shape") from error
    return Publish(topic, qos, packet_id, bool(packet[0] & 1), packet[end + used + properties :])


def acknowledged(packet: bytes) -> int | None:
    """Return the packet id that a PUBACK answers, None for any other packet."""
    if kind_of(packet) != PUBACK or len(packet) < 4:
        return None
    return int.from_bytes(packet[2:4], "big")


def sent_again(packet: bytes) -> bytes:
    """Return a PUBLISH marked as a re-delivery, which QoS 0 does not know."""
    return bytes([packet[0] | (_DUP if packet[0] & 6 else 0)]) + packet[1:]


def _varint(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Return the number that begins at `at` and how many bytes it takes, (0, 0) where it is not whole yet."""
    value = 0
    for place in range(LENGTH_BYTES_MAX):
        if at + place >= len(data):
            return 0, 0
        value |= (data[at + place] & 0x7F) << 7 * place
        if not data[at + place] & 0x80:
            return value, place + 1
    raise NotMqtt("a length of more than four bytes")
