"""The contract between emulab and whatever executes firmware.

A backend opens a session on (platform, firmware). The session hands out parts, each a small protocol with
one job: a byte console, a clock, optionally a profiler and a power meter. The same DUT client drives every
backend through :class:`Console`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from emulab.errors import BackendUnavailable
from emulab.plugins import Registry

if TYPE_CHECKING:
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform
    from emulab.model.scenario import Window
    from emulab.probe.profile import WindowProfile

Capability = Literal[
    "console",
    "virtual-time",
    "profile",
    "cycles",
    "memory-accesses",
    "power-meter",
    "gpio",
    "energy",
    "stack",
    "live",
]


@runtime_checkable
class Console(Protocol):
    """A byte stream to and from the firmware."""

    def write(self, data: bytes) -> None:
        """Send *data*; the backend paces it as the line would. ToolError if the line is gone."""

    def read(self, timeout_s: float) -> bytes:
        """Bytes that have come, at least one; empty when *timeout_s* of wall time passed without any.

        On a backend with virtual time this call advances it (the firmware runs inside the call).
        Raises FirmwareFault when the firmware can never answer (fault, runaway, asleep with nothing to wake it).
        """


@runtime_checkable
class Clock(Protocol):
    """The time base of the session."""

    @property
    def kind(self) -> Literal["virtual", "wall"]: ...

    def now_s(self) -> float: ...


@runtime_checkable
class Profiler(Protocol):
    """Windows with exact counts. Windows are declared when the session is opened (``SessionOptions.windows``)."""

    def windows(self) -> list[WindowProfile]:
        """All occurrences completed so far, in order."""


@dataclass(frozen=True, slots=True)
class CurrentTrace:
    """Supply current over time: bucket *i* covers ``start_s + i * step_s``; mean, min and max in ampere.

    ``marks`` are named instants (window edges, GPIO edges) in seconds on the same clock. ``lost_samples`` counts
    what the monitor did not deliver; such buckets hold NaN, never a made-up value.
    """

    start_s: float
    step_s: float
    mean_a: Any
    min_a: Any | None = None
    max_a: Any | None = None
    voltage_v: float = 0.0
    marks: tuple[tuple[str, float], ...] = ()
    lost_samples: int = 0
    source: str = ""


@runtime_checkable
class PowerMeter(Protocol):
    """A current trace of the board's supply."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def capture(self) -> CurrentTrace: ...


@dataclass(frozen=True, slots=True)
class GpioEdge:
    """A level change the firmware made on a pin."""

    pin: str
    time_s: float
    level: bool


@dataclass(frozen=True)
class SessionOptions:
    """What a session is opened with."""

    windows: tuple[Window, ...] = ()
    profile: bool = True
    baud: int | None = None
    seed: int = 0
    output: Path | None = None
    argument: str = ""
    """What follows the colon in ``--backend NAME:ARGUMENT``."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Backend options from the command line or the scenario, e.g. serial port, power monitor, flash loader."""


class Session(Protocol):
    """Firmware, running. Use as a context manager: leaving it ends every process and frees every port."""

    @property
    def console(self) -> Console: ...

    @property
    def clock(self) -> Clock: ...

    @property
    def profiler(self) -> Profiler | None: ...

    @property
    def power_meter(self) -> PowerMeter | None: ...

    def gpio_edges(self, pin: str) -> list[GpioEdge]:
        """Edges seen on *pin* so far; empty where the backend cannot see pins."""

    def notes(self) -> list[str]:
        """What a reader of the record must know, e.g. registers that are not modelled."""

    def details(self) -> dict[str, Any]:
        """Facts for the record: stack use, energy by component, idle time, ..."""

    def describe_state(self) -> str:
        """One line for a diagnosis: PC, symbol, what the firmware waits for."""

    def close(self) -> None: ...

    def __enter__(self) -> Session: ...

    def __exit__(self, *exception: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a backend can be used here, which version, and how to get it."""

    available: bool
    version: str = ""
    reason: str = ""
    how_to_install: str = ""


class Backend(Protocol):
    """One way to execute firmware.

    A backend that may answer without being given an image has ``needs_image(extra)`` besides (see :func:`needs_image`).
    """

    name: str
    capabilities: frozenset[Capability]

    def available(self) -> Availability: ...

    def fidelity(self, platform: Platform) -> Literal["board", "core"] | None:
        """``board``: same map and peripherals; ``core``: same core, other map; None: cannot run this platform."""

    def firmware_platform(self, platform: Platform) -> Platform:
        """The platform firmware must be built for (another map at fidelity ``core``, else *platform* itself)."""

    def open(self, platform: Platform, image: Image, options: SessionOptions) -> Session:
        """Boot *image*. Raises BackendUnavailable, InputError (image does not fit) or ToolError."""


class RunsWhatIsThere(Protocol):
    """A backend that runs, or replays, what is there already. Its ``open`` takes None for the image."""

    def needs_image(self, extra: Mapping[str, Any]) -> bool:
        """Whether it needs the scenario's firmware when opened with the options *extra*."""

    def open(self, platform: Platform, image: Image | None, options: SessionOptions) -> Session: ...


def needs_image(backend: Backend | RunsWhatIsThere, extra: Mapping[str, Any]) -> bool:
    """Whether firmware must be built (or read) before *backend* is opened with the options *extra*."""
    ask = getattr(backend, "needs_image", None)
    return True if ask is None else bool(ask(extra))


_BACKENDS = Registry(
    "emulab.backends",
    {
        "unicorn": "emulab.backends.unicorn:UnicornBackend",
        "qemu": "emulab.backends.qemu:QemuBackend",
        "renode": "emulab.backends.renode:RenodeBackend",
        "hardware": "emulab.backends.hardware:HardwareBackend",
        "replay": "emulab.backends.replay:ReplayBackend",
    },
)


def backend_names() -> list[str]:
    """Names of all backends, built in and from entry points."""
    return list(_BACKENDS.names())


def load_backend(name: str) -> Backend:
    """The backend called *name*; InputError names the closest one, BackendUnavailable when its module cannot load."""
    try:
        backend: Backend = _BACKENDS.load(name, f"backend {name!r} is unknown")()
    except (ImportError, AttributeError) as error:
        raise BackendUnavailable(name, f"its module does not load: {error}") from None
    return backend


def iterate_backends() -> Iterator[Backend]:
    """All backends whose module loads."""
    for name in backend_names():
        try:
            yield load_backend(name)
        except BackendUnavailable:
            continue
