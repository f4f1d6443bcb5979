"""The soak's judge finds each lie it exists to find, and nothing where there is none."""

from soak_audit import Audit, Limits
from soak_records import Altered, Flag, Look, Mark, Sample, Status

SESSION = 1_700_000_000_000_000_000
BOOK = 8  # of partition 0
OTHER = 9  # of partition 1
NAME = "consumer 1"


def look(time: float, sequence: int, checksum: int, *, book: int = BOOK, session: int = SESSION, u: int = 0) -> Look:
    return Look(time, session, book, sequence, checksum, u or 100 + sequence, 7 * sequence)


def reference_look(time: float, sequence: int, checksum: int, *, text: int = 0) -> Look:
    return Look(time, SESSION, BOOK, sequence, checksum, 100 + sequence, 7 * sequence, text or 1000 + checksum)


def sample(time: float, sequence: int = 1, *, session: int = SESSION, **others: str) -> Sample:
    """Two books; `others` by name: book or other."""
    statuses = {BOOK: others.get("book"), OTHER: others.get("other")}
    return Sample(
        time,
        {0: session, 1: session},
        {BOOK: sequence, OTHER: 5},
        {book: status for book, status in statuses.items() if status},
    )


def audit(**limits: float) -> Audit:
    return Audit(Limits(**limits))  # type: ignore[arg-type]


def agreed(judge: Audit, sequences: range) -> None:
    """The reference and the exchange agree on the book at these sequences; its checksum is the sequence."""
    for n in sequences:
        judge.on_reference(reference_look(n / 10, n, n))
    judge.on_exchange(BOOK, [(100 + n, 7 * n, 1000 + n) for n in sequences])


def test_books_that_equal_the_reference_and_the_exchange_are_found_right():
    judge = audit()
    agreed(judge, range(1, 20))
    for n in range(1, 20):
        judge.on_consumer(NAME, look(n / 10, n, n))
    assert judge.finish() == []
    assert judge.witnesses[NAME].compared == 19
    assert judge.exchange_compared == 19
    assert judge.wrong.count == judge.feeder_wrong.count == judge.unflagged.count == 0


def test_a_live_book_with_another_checksum_is_wrong():
    judge = audit()
    agreed(judge, range(1, 5))
    judge.on_consumer(NAME, look(0.3, 3, 99))
    judge.finish()
    assert judge.wrong.count == 1
    assert f"book {BOOK} was LIVE and wrong at sequence 3" in judge.wrong.examples[0]


def test_a_live_book_at_another_update_id_is_wrong():
    judge = audit()
    agreed(judge, range(1, 5))
    judge.on_consumer(NAME, look(0.3, 3, 3, u=55))
    judge.finish()
    assert judge.wrong.count == 1


def test_a_book_of_the_feeder_that_is_not_the_exchanges_is_wrong():
    judge = audit()
    judge.on_reference(reference_look(0.1, 1, 1, text=4))
    judge.on_exchange(BOOK, [(101, 7, 5)])
    judge.finish()
    assert judge.feeder_wrong.count == 1


def test_a_book_at_an_update_that_the_exchange_never_sent_is_wrong():
    judge = audit()
    agreed(judge, range(1, 4))
    judge.on_reference(Look(0.5, SESSION, BOOK, 4, 4, 103, 15, 1))  # u=103 had seq 21
    judge.on_exchange(BOOK, [(101, 7, 1001), (104, 28, 1004)])
    judge.finish()
    assert judge.feeder_wrong.count == 1


def test_a_book_waits_for_the_exchange_to_come_so_far():
    judge = audit()
    judge.on_reference(reference_look(0.1, 9, 9))
    judge.on_exchange(BOOK, [(101, 7, 1001)])
    assert judge.unconfirmed(before=1.0) == {BOOK: [(109, 63)]}
    judge.on_exchange(BOOK, [(109, 63, 1009)])
    assert judge.unconfirmed(before=1.0) == {}
    assert judge.exchange_compared == 1


def test_a_consumer_whose_books_have_no_counterpart_is_no_success():
    judge = audit()
    agreed(judge, range(1, 5))
    for n in (1, 2, 7):
        judge.on_consumer(NAME, look(0.2, n, n))
    assert judge.finish() == ["consumer 1: 1 of its 3 LIVE books have nothing to compare with"]


def test_a_consumer_that_was_never_compared_is_no_success():
    judge = audit()
    agreed(judge, range(1, 5))
    judge.on_consumer(NAME, sample(0.1))
    assert "consumer 1: no LIVE book of it was ever compared" in judge.finish()


def test_books_that_the_exchange_forgot_are_counted():
    judge = audit()
    agreed(judge, range(1, 5))
    judge.on_reference(reference_look(0.1, 50, 50))
    judge.on_exchange(BOOK, [(160, 420, 1)])
    assert judge.exchange_missing == 1
    assert "1 books were not confirmed by the exchange" in judge.finish()


def test_a_look_before_the_reference_came_so_far_waits():
    judge = audit()
    judge.on_consumer(NAME, look(0.3, 3, 3))
    judge.settle()
    agreed(judge, range(1, 5))
    assert judge.finish() == []
    assert judge.witnesses[NAME].compared == 1


def test_a_live_book_that_is_over_a_second_behind_is_an_unflagged_hole():
    judge = audit()
    judge.on_reference(sample(10.0, 5))
    judge.on_reference(sample(10.05, 6))
    judge.on_consumer(NAME, sample(11.0, 5))
    judge.settle()
    assert judge.unflagged.count == 0  # 5 was the newest a second before
    judge.on_consumer(NAME, sample(11.05, 5))
    judge.on_consumer(NAME, sample(11.1, 6))
    judge.on_consumer(NAME, sample(11.15, 5))
    judge.on_reference(sample(11.2, 6))
    judge.settle()
    assert judge.unflagged.count == 1
    assert f"book {BOOK} is LIVE at sequence 5" in judge.unflagged.examples[0]


def test_a_book_that_says_that_it_is_not_live_may_be_behind():
    judge = audit()
    judge.on_reference(sample(10.0, 6))
    judge.on_consumer(NAME, sample(12.0, 5, book="SUSPECT"))
    judge.on_reference(sample(12.1, 6))
    judge.settle()
    assert judge.unflagged.count == 0


def test_a_live_book_of_the_session_before_is_an_unflagged_hole():
    judge = audit()
    judge.on_reference(sample(10.0, 1, session=SESSION + 1))
    judge.on_consumer(NAME, sample(11.2, 500))
    judge.on_reference(sample(11.3, 1, session=SESSION + 1))
    judge.settle()
    assert judge.unflagged.count == 2  # both books


def test_a_program_that_was_stopped_has_a_second_to_see_what_it_missed():
    judge = audit()
    for n in range(60):
        judge.on_reference(sample(10.0 + n / 20, 5 + n))
    judge.on_consumer(NAME, sample(10.0, 5))
    judge.on_consumer(NAME, sample(12.0, 5))  # it comes to itself with what it knew
    judge.on_consumer(NAME, sample(12.9, 60))
    judge.settle()
    assert judge.unflagged.count == 0
    assert judge.witnesses[NAME].stood_still == 2.0


def test_one_that_never_sees_what_it_missed_while_stopped_is_found():
    judge = audit()
    for n in range(100):
        judge.on_reference(sample(10.0 + n / 20, 5 + n))
    judge.on_consumer(NAME, sample(10.0, 5))
    for n in range(60):
        judge.on_consumer(NAME, sample(12.0 + n / 20, 5))
    judge.settle()
    assert judge.unflagged.count > 30


def test_a_book_that_stops_being_live_without_any_event_is_found():
    judge = audit()
    judge.on_consumer(NAME, sample(10.0))
    judge.on_consumer(NAME, sample(10.05, book="SUSPECT"))
    judge.on_consumer(NAME, sample(10.1, book="SUSPECT"))
    assert judge.unflagged.examples == [f"consumer 1: book {BOOK} became SUSPECT and no event said so"]


def test_an_event_of_the_book_or_of_its_partition_tells():
    judge = audit()
    judge.on_consumer(NAME, sample(10.0))
    judge.on_consumer(NAME, Status(10.01, BOOK, "STALE", "GAP"))
    judge.on_consumer(NAME, Flag(10.02, "PacketsLost", 1, "BOOKS", 5, 6))
    judge.on_consumer(NAME, sample(10.05, book="STALE", other="SUSPECT"))
    assert judge.unflagged.count == 0


def test_an_event_of_another_partition_does_not_tell():
    judge = audit()
    judge.on_consumer(NAME, sample(10.0))
    judge.on_consumer(NAME, Flag(10.02, "PacketsLost", 1, "BOOKS", 5, 6))
    judge.on_consumer(NAME, sample(10.05, book="SUSPECT"))
    assert judge.unflagged.count == 1


def test_an_event_of_before_does_not_tell_of_a_second_loss():
    judge = audit()
    judge.on_consumer(NAME, sample(10.0))
    judge.on_consumer(NAME, Status(10.01, BOOK, "SUSPECT", "NONE"))
    judge.on_consumer(NAME, sample(10.05, book="SUSPECT"))
    judge.on_consumer(NAME, sample(10.1))
    judge.on_consumer(NAME, sample(10.15, book="SUSPECT"))
    assert judge.unflagged.count == 1


def test_an_altered_packet_excuses_its_book_for_a_while_only():
    judge = audit(altered_seconds=2.0)
    agreed(judge, range(1, 60))
    judge.on_consumer(NAME, Altered(1.0, BOOK))
    judge.on_consumer(NAME, look(1.2, 12, 99))
    judge.on_consumer(NAME, look(2.9, 29, 99))
    judge.on_consumer(NAME, look(3.2, 32, 99))
    judge.finish()
    assert judge.witnesses[NAME].excused == 2
    assert judge.wrong.count == 1


def test_the_longest_time_that_a_book_was_lost_is_told():
    judge = audit()
    for n, status in enumerate(["", "SUSPECT", "SUSPECT", "", "SUSPECT", ""]):
        judge.on_consumer(NAME, Status(10 + n, BOOK, status, "NONE"))
        judge.on_consumer(NAME, sample(10.0 + n, book=status))
    assert judge.witnesses[NAME].lost_longest == 2.0


def test_a_reference_that_loses_packets_judges_nobody():
    judge = audit()
    agreed(judge, range(1, 5))
    judge.on_consumer(NAME, look(0.2, 2, 2))
    judge.on_reference(Flag(0.3, "PacketsLost", 0, "BOOKS", 5, 6))
    assert judge.finish() == ["the reference lost packets 1 times: this machine is too slow for the run"]


def test_books_not_seen_equal_since_a_moment_are_named():
    judge = audit()
    agreed(judge, range(1, 50))
    judge.on_consumer(NAME, sample(1.0))
    judge.on_consumer(NAME, look(2.0, 20, 20))
    judge.settle()
    assert judge.never_equal_since(NAME, 1.5) == [OTHER]
    assert judge.never_equal_since(NAME, 2.5) == [BOOK, OTHER]


def test_moments_are_found_from_a_time_on():
    judge = audit()
    for time, what in ((1.0, "joined"), (2.0, "all LIVE"), (3.0, "not all LIVE"), (4.0, "all LIVE")):
        judge.on_consumer(NAME, Mark(time, what))
    witness = judge.witnesses[NAME]
    assert witness.marked("all LIVE") == 2.0
    assert witness.marked("all LIVE", since=2.5) == 4.0
    assert witness.marked("end") is None


def test_a_book_that_is_live_over_a_hole_that_its_consumer_was_just_told_of_is_an_unflagged_one():
    judge = audit()
    judge.on_consumer(NAME, Flag(0.3, "PacketsLost", 0, "BOOKS", 5, 7, live=2))
    assert judge.unflagged.count == 1
    assert "2 books of partition 0 were LIVE over the hole from 5 to 7" in judge.unflagged.examples[0]


def test_a_book_that_was_wrong_before_its_packet_was_altered_is_not_excused():
    judge = audit(altered_seconds=2.0)
    agreed(judge, range(1, 5))
    judge.on_consumer(NAME, look(0.1, 3, 99))
    judge.on_consumer(NAME, Altered(0.2, BOOK))
    judge.on_consumer(NAME, look(0.3, 3, 99))
    judge.finish()
    assert (judge.wrong.count, judge.witnesses[NAME].excused) == (1, 1)
