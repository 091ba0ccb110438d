"""Time that passes at once, where nobody could see it pass."""

from __future__ import annotations

from emulab.backends.unicorn.timeline import Timeline


def test_time_passes_only_where_nothing_is_due() -> None:
    env = Timeline()
    seen: list[float] = []
    timeout = env.timeout(1.0)
    assert timeout.callbacks is not None
    timeout.callbacks.append(lambda _: seen.append(env.now))
    assert env.passes(0.25) and env.now == 0.25
    assert env.passes(0.5) and env.now == 0.75
    # an event at the very end of the stretch, or in it, comes first
    assert not env.passes(0.25) and not env.passes(2.0) and env.now == 0.75
    env.run()
    assert seen == [1.0] and env.passes(5.0) and env.now == 6.0


def test_run_until_is_an_event_too() -> None:
    env = Timeline()
    passed: list[bool] = []

    def process():  # type: ignore[no-untyped-def]
        passed.append(env.passes(3.0))
        yield env.timeout(1.0)

    env.process(process())
    env.run(until=2.0)
    assert passed == [False] and env.now == 2.0
