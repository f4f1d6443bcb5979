"""The million packets' count, on a few thousand: it holds, and a worse arbiter or network misses it."""

import json

import loss_counts
import pytest

from feeder.multicast import arbiter

PACKETS = 6_000


def test_the_figures_of_a_short_run_hold_and_are_the_same_again():
    figures = loss_counts.counts(2, PACKETS)
    assert figures["good"]
    assert figures["packets"] >= PACKETS
    networks = figures["networks"]
    assert networks["both lines lose"]["packets_lost"].keys() == {"A", "B"}
    assert networks["one line reorders"]["packets_overtaken"]["A"] > 100
    assert networks["one line reorders"]["packets_that_waited"] > 1000
    assert "holds" in loss_counts.table(figures)
    again = loss_counts.counts(2, PACKETS)
    assert json.dumps({**again, "seconds": 0}) == json.dumps({**figures, "seconds": 0})


def test_a_smaller_reorder_window_makes_holes(monkeypatch):
    monkeypatch.setattr(arbiter, "REORDER_PACKETS", 50)
    figures = loss_counts.counts(2, PACKETS)
    assert not figures["good"]
    assert figures["holes_by_reordering"] > 0
    assert "MISSED" in loss_counts.table(figures)


def test_more_loss_misses_the_share(monkeypatch):
    monkeypatch.setattr(loss_counts, "LOSS", 0.1)
    figures = loss_counts.counts(2, PACKETS)
    assert not figures["good"]
    assert figures["share_asked_for"] == pytest.approx(0.01, rel=0.5)
