"""How long a book update takes within the pipeline, stage by stage, measured on a sample of all books together."""

from feeder.histogram import STAGE_BOUNDS_US, Buckets

UNSAMPLED = 63
"""An update is measured if its id has none of these bits: 1 in 64 of each book, whatever else happens at the time."""


class Stages:
    """One value of each for every measured update, nanoseconds; one object for all workers of a router."""

    __slots__ = ("dequeue_to_encode", "receive_to_dequeue")

    def __init__(self) -> None:
        bounds = [bound * 1000 for bound in STAGE_BOUNDS_US]
        self.receive_to_dequeue = Buckets(bounds)  # from the read of its socket until its worker takes it up
        self.dequeue_to_encode = Buckets(bounds)  # from there until its worker is done with it: applied and encoded

    def record(self, received_ns: int, taken_ns: int, done_ns: int) -> None:
        """Count one update; wall times."""
        self.receive_to_dequeue.record(taken_ns - received_ns)
        self.dequeue_to_encode.record(done_ns - taken_ns)
