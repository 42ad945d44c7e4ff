"""Each gate gets a few of its messages in turn; one gone mad keeps nobody waiting, and what it loses it sends again."""

from cloud.kit.turns import Turns


def a_turns(*messages: tuple[str, str], waiting_max: int = 4, in_turn: int = 2) -> Turns[str]:
    turns: Turns[str] = Turns(waiting_max, in_turn)
    for sender, text in messages:
        turns.put(sender, f"{sender}{text}", once=text.encode())
    return turns


def test_messages_come_in_the_order_in_which_they_arrived() -> None:
    assert a_turns(("a", "1"), ("b", "1"), ("a", "2")).take(10) == ["a1", "a2", "b1"]


def test_a_sender_with_many_has_a_few_taken_and_the_others_theirs() -> None:
    turns = a_turns(*(("mad", str(n)) for n in range(4)), ("quiet", "1"))
    assert turns.take(10) == ["mad0", "mad1", "quiet1"]
    assert turns.take(10) == ["mad2", "mad3"] and not turns and turns.take(10) == []


def test_a_message_that_waits_already_finds_no_second_place() -> None:
    turns = a_turns(("a", "1"))
    assert not turns.put("a", "again", once=b"1") and turns.take(10) == ["a1"]
    assert turns.put("a", "later", once=b"1"), "what was taken may come again"


def test_a_message_that_counts_each_time_waits_beside_its_like_within_the_bound() -> None:
    turns = a_turns()
    assert [turns.put("a", word) for word in ("birth", "will", "birth", "will", "birth")] == [True] * 4 + [False]
    assert turns.take(3) + turns.take(3) == ["birth", "will", "birth", "will"]


def test_a_sender_has_only_so_many_places() -> None:
    turns = a_turns(*(("mad", str(n)) for n in range(4)))
    assert not turns.put("mad", "one too many", once=b"5") and turns.put("quiet", "quiet5", once=b"5")


def test_a_full_batch_leaves_the_rest_and_begins_with_who_had_no_turn() -> None:
    turns = a_turns(("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("c", "1"))
    assert turns.take(3) == ["a1", "a2", "b1"]
    assert turns.take(3) == ["c1", "a3"]
