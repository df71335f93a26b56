"""The arithmetic of what is needed, and a crowd at the orders service, with a waiting room and without."""

import pytest

from ticketing_bench.simulation import OnSale, Outcome, Part, percentile, simulate

SMALL = OnSale(buyers=5_000, tickets=500, arrive_within=2.0, processes=1, order_takes=0.01, patience=5.0)


def test_units_are_planned_with_room_to_spare() -> None:
    part = Part("p", takes=10, has=1000, unit="process")
    assert part.limit == 100
    assert [part.units(rate) for rate in (1, 60, 61, 600)] == [1, 1, 2, 10]


@pytest.mark.parametrize("rate", [None, 50.0])
def test_every_buyer_has_one_end_and_every_ticket_one_buyer(rate: float | None) -> None:
    found = simulate(SMALL, rate)
    assert found.bought + found.sold_out + found.unlucky + found.gave_up == SMALL.buyers
    assert found.bought + found.for_nobody == SMALL.tickets
    assert found.tries >= len(found.waits) + found.unanswered


def test_a_waiting_room_turns_time_outs_into_a_queue() -> None:
    crowd, room = simulate(SMALL, None), simulate(SMALL, 50.0)
    assert crowd.gave_up > SMALL.buyers / 2
    assert crowd.for_nobody > 0
    assert (room.gave_up, room.unanswered, room.for_nobody) == (0, 0, 0)
    assert percentile(room.waits, 99) < 1 < percentile(crowd.waits, 50)
    assert max(room.in_room) > 5


def test_a_calm_sale_needs_no_waiting_room() -> None:
    calm = OnSale(buyers=100, tickets=200, arrive_within=10.0, processes=1, order_takes=0.01)
    found = simulate(calm, None)
    assert found.bought == 100
    assert percentile(found.waits, 99) < 0.2


def test_a_seed_makes_a_run_repeatable() -> None:
    def numbers(outcome: Outcome) -> tuple[int, ...]:
        return outcome.bought, outcome.tries, outcome.unanswered

    assert numbers(simulate(SMALL, None, seed=7)) == numbers(simulate(SMALL, None, seed=7))
