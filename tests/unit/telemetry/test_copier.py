"""Plain attributes reach the file within a second, in slices, and no sum ever falls."""

import asyncio
import gc

import pytest
import structlog

from feeder.bybit.connection_status import VenueLag
from feeder.errors import CountersError
from feeder.market.status import BookStatus, StatusReason
from feeder.telemetry.copier import VISITS_PER_TICK
from feeder.telemetry.metrics import METRICS_OF, Of
from feeder.wire.messages import RejectReason

from .plant import TestPlant


@pytest.fixture
async def plant(tmp_path):
    plant = TestPlant(tmp_path / "counters.dat")
    yield plant
    await plant.aclose()


async def turns() -> None:
    """Let the workers work."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_books_counters_are_in_the_file_after_a_round(plant):
    plant.add("BTCUSDT")
    for update_id in (1, 2, 3, 5):
        plant.update("BTCUSDT", update_id, snapshot=update_id == 1)
    await turns()
    received = plant.clock.wall_ns()
    plant.ticks(220)
    assert plant.books() == [("linear", "BTCUSDT")]
    assert plant.value("feeder_book_status", "linear|BTCUSDT") == BookStatus.STALE
    assert plant.value("feeder_book_updates_total", "linear|BTCUSDT") == 4
    assert plant.value("feeder_book_gaps_total", "linear|BTCUSDT") == 1
    assert plant.value("feeder_book_resyncs_requested_total", "linear|BTCUSDT") == 1
    assert plant.value("feeder_book_queue_high_water", "linear|BTCUSDT") == 4
    assert plant.value("feeder_book_queue_depth", "linear|BTCUSDT") == 0
    assert plant.value("feeder_book_last_update_timestamp_seconds", "linear|BTCUSDT") == received
    assert plant.value("feeder_books_followed") == 1
    assert plant.value("feeder_status_transitions_total", "LIVE|SNAPSHOT") == 1
    assert plant.value("feeder_status_transitions_total", "STALE|GAP") == 1


async def test_what_the_process_counts_is_in_the_file(plant):
    plant.publisher.complete = True
    plant.pool.counters.decode_errors = 3
    plant.pool.counters.resyncs[StatusReason.GAP] += 2
    plant.lines[0][1].refused = 4
    plant.publisher.partitions[1].trades.packets = 5
    plant.publisher.latency.record(120_000)
    plant.ticks(120)
    assert plant.value("feeder_instruments_loaded") == 1
    assert plant.value("feeder_venue_decode_errors_total") == 3
    assert plant.value("feeder_venue_resyncs_total", "GAP") == 2
    assert plant.value("feeder_line_refused_packets_total", "0|books|A") == 4
    assert plant.value("feeder_channel_packets_total", "1|trades") == 5
    (latency,) = [record.values for record in plant.read().records if record.kind == Of.LATENCY]
    assert (latency[0], sum(latency[1:])) == (120_000, 1)


async def test_what_is_kept_and_sent_again_is_in_the_file(plant):
    partition = plant.publisher.partitions[1]
    partition.trades.write(bytes(24))
    partition.trades.flush()
    counters = partition.retransmit.counters
    counters.requests, counters.dropped = 7, 2
    counters.rejects[RejectReason.RATE] += 3
    plant.ticks(120)
    assert plant.value("feeder_ring_messages", "1|trades") == 1
    assert plant.value("feeder_ring_bytes", "1|trades") == 24
    assert plant.value("feeder_ring_messages", "1|books") == 0
    assert plant.value("feeder_retransmit_requests_total", "1") == 7
    assert plant.value("feeder_retransmit_dropped_packets_total", "1") == 2
    assert plant.value("feeder_retransmit_rejects_total", "1|RATE") == 3


async def test_each_stage_of_an_updates_way_has_its_histogram(plant):
    plant.router.stages.record(1_000_000_000, 1_000_300_000, 1_000_308_000)
    plant.publisher.encode_to_send.record(40_000)
    plant.pool.counters.pongs.record(70_000_000)
    plant.ticks(120)
    stages = {record.label: record.values[0] for record in plant.read().records if record.kind == Of.STAGES}
    assert stages == {"receive_to_dequeue": 300_000, "dequeue_to_encode": 8_000, "encode_to_send": 40_000}
    (pongs,) = [record.values for record in plant.read().records if record.kind == Of.PONGS]
    assert (pongs[0], sum(pongs[1:])) == (70_000_000, 1)


async def test_how_long_a_round_of_snapshots_takes_is_told_of_each_partition(plant):
    plant.ticks(120)
    assert plant.value("feeder_snapshot_cycle_seconds", "1") == 0
    for _ in range(120):
        plant.clock.advance(0.01)
        plant.publisher.tick(plant.clock.monotonic())
    plant.ticks(120)
    assert plant.value("feeder_snapshot_cycle_seconds", "1") == pytest.approx(1e9, rel=0.1)
    assert plant.value("feeder_partitions_served") == 2


async def test_what_only_the_owner_knows_is_in_the_file(plant):
    plant.ticks(120)
    assert plant.value("feeder_config_generation") == 1
    assert plant.value("feeder_config_last_reload_success") == 1
    assert [plant.value("feeder_config_reloads_total", result) for result in ("changed", "refused")] == [0, 0]
    assert plant.value("feeder_universe_refreshes_total", "failed") == 0, "there before it first happens"
    assert plant.value("feeder_shard_info", "0/1") == 1
    plant.plant.config_generation, plant.plant.config_good, plant.plant.config_restart_needed = 3, False, 2
    plant.plant.config_reloads["refused"] += 1
    plant.plant.universe_refreshes["ok"] += 4
    plant.ticks(120)
    assert plant.value("feeder_config_generation") == 3
    assert plant.value("feeder_config_last_reload_success") == 0
    assert plant.value("feeder_config_restart_needed") == 2
    assert plant.value("feeder_config_reloads_total", "refused") == 1
    assert plant.value("feeder_universe_refreshes_total", "ok") == 4


async def test_collections_are_counted_until_the_copier_is_closed(plant):
    before = len(gc.callbacks)
    gc.collect(1)
    plant.ticks(120)
    assert plant.value("feeder_gc_collections_total", "1") >= 1
    plant.copier.close()
    assert len(gc.callbacks) == before - 1


async def test_the_age_of_the_data_is_there_while_a_connection_is_up(plant, monkeypatch):
    lags = {"linear": VenueLag(0.04, 0.03, 0.05)}
    monkeypatch.setattr(plant.pool, "venue_lags", lambda: lags)
    plant.ticks(120)
    assert plant.value("feeder_venue_lag_seconds", "linear") == 40_000_000
    assert plant.value("feeder_venue_lag_most_seconds", "linear") == 50_000_000
    lags.clear()
    plant.ticks(120)
    assert Of.VENUE_LAG not in {record.kind for record in plant.read().records}


async def test_a_tick_of_a_thousand_books_copies_a_bounded_slice_and_a_second_copies_them_all(plant):
    workers = [plant.add(f"S{number}") for number in range(1000)]
    most = plant.ticks(300)
    assert len(plant.books()) == 1000
    assert most <= 2 * VISITS_PER_TICK + 10  # a new book is made and stored; a few things have more than one record
    for worker in workers:
        worker.gaps += 1
    assert plant.ticks(101) <= VISITS_PER_TICK + 10
    assert [r.values[5] for r in plant.read().records if r.kind == Of.BOOK] == [1] * 1000
    assert METRICS_OF[Of.BOOK][5].name == "feeder_book_gaps_total"


async def test_books_go_and_come_back_and_the_sums_do_not_fall(plant):
    for symbol in ("BTCUSDT", "ETHUSDT"):
        plant.add(symbol).duplicates = 10
    plant.ticks(220)
    assert plant.value("feeder_duplicates_total") == 20
    plant.router.workers["linear", "BTCUSDT"].duplicates = 15  # counted between the last visit and the end
    plant.router.remove(("linear", "BTCUSDT"))
    plant.ticks(220)
    assert plant.books() == [("linear", "ETHUSDT")]
    assert plant.value("feeder_duplicates_total") == 25
    plant.publisher.partitions[0].instruments.clear()
    plant.add("BTCUSDT").duplicates = 1
    plant.ticks(220)
    assert sorted(plant.books()) == [("linear", "BTCUSDT"), ("linear", "ETHUSDT")]
    assert plant.value("feeder_duplicates_total") == 26


async def test_a_book_that_is_replaced_between_two_visits_begins_anew(plant):
    plant.add("BTCUSDT").gaps = 9
    plant.ticks(220)
    plant.router.remove(("linear", "BTCUSDT"))
    plant.add("BTCUSDT").gaps = 1
    plant.ticks(320)
    assert plant.books() == [("linear", "BTCUSDT")]
    assert plant.value("feeder_book_gaps_total", "linear|BTCUSDT") == 1


async def test_one_thing_that_cannot_be_copied_leaves_the_others_alone(plant):
    worker = plant.add("BTCUSDT")
    plant.add("ETHUSDT")
    plant.ticks(220)
    worker.queue.folds = "many"
    plant.router.workers["linear", "ETHUSDT"].gaps = 3
    with structlog.testing.capture_logs() as logs:
        plant.ticks(320)
    assert plant.value("feeder_book_gaps_total", "linear|ETHUSDT") == 3
    assert plant.value("feeder_telemetry_failures_total") >= 2
    assert [entry["event"] for entry in logs] == ["counters not copied"]
    worker.queue.folds = 0


async def test_a_file_that_cannot_grow_takes_the_new_books_later(plant, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for number in range(2000):
        plant.add(f"S{number}")
    with monkeypatch.context() as patch:
        patch.setattr("feeder.telemetry.counters.os.posix_fallocate", full)
        plant.ticks(220)
        assert 0 < len(plant.books()) < 2000
    plant.ticks(300)
    assert len(plant.books()) == 2000


async def test_the_heartbeat_is_the_loops_and_its_lag_is_measured(plant):
    plant.ticks(3)
    plant.clock.advance(0.3)
    now, wall = plant.clock.monotonic(), plant.clock.wall_ns()
    plant.ticks(110)
    found = plant.read()
    assert found.heartbeat_monotonic_ns == pytest.approx((now + 1.09) * 1e9)
    assert found.heartbeat_wall_ns == wall + 1_090_000_000
    assert plant.copier.lag.counts[9] == 1, "between 200 and 500 ms late"
    assert plant.copier.lag.counts[0] == 111


async def test_at_the_end_the_last_counts_are_in_the_file(plant):
    worker = plant.add("BTCUSDT")
    plant.ticks(220)
    worker.restarts = 4
    await plant.router.aclose()
    plant.copier.close()
    assert plant.read().ended
    assert plant.value("feeder_book_restarts_total") == 4


async def test_a_counters_file_that_cannot_be_stored_into_any_longer_is_logged_once_and_ends_nothing(
    plant, monkeypatch
):
    plant.ticks(3)

    def cut() -> None:
        raise CountersError("counters.dat: somebody has cut it short")

    with monkeypatch.context() as patch, structlog.testing.capture_logs() as logs:
        patch.setattr(plant.writer, "_look", cut)
        plant.ticks(300)
        plant.copier._visit(plant.copier._targets[0])  # as `close` does, too
    assert [(line["event"], line["error"], line["exc_info"]) for line in logs] == [
        ("counters not copied", "counters.dat: somebody has cut it short", False),
    ]
