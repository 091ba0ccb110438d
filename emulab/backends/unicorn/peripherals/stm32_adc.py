# ruff: noqa: RUF012  (register tables are constants)
"""STM32 ADC with its DMA (L4, L4+): RM0432 chapter 21. Regular sequences, single or continuous, started by software.

What is at an input is an entry of ``board.parts``: ``{bus: adc1, channel: 5, reference_v: 3.3, signal: [{offset_v,
amplitude_v, frequency_hz, phase_rad}, ...]}``; an input without one reads 0. Not modelled: hardware triggers, injected
channels, watchdogs, oversampling, offsets, differential inputs, noise; the two that change when or whether something is
converted (triggers, injected channels) leave a note.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from emulab.backends.unicorn.peripherals.base import RegisterFile, register
from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.backends.unicorn.machine import Event, Machine
    from emulab.model.soc import Peripheral as Spec

ADRDY, EOSMP, EOC, EOS, OVR = 1, 2, 4, 8, 16
ADEN, ADDIS, ADSTART, JADSTART, ADSTP, ADVREGEN, DEEPPWD, ADCAL = 1, 2, 4, 8, 16, 1 << 28, 1 << 29, 1 << 31
DMAEN, EXTEN, OVRMOD, CONT = 1, 3 << 10, 1 << 12, 1 << 13
SAMPLE_CLOCKS = (2.5, 6.5, 12.5, 24.5, 47.5, 92.5, 247.5, 640.5)
_PRESCALERS = (1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256)
CALIBRATION_CLOCKS = 116
SEQUENCE = [("SQR1", 6 + 6 * i) for i in range(4)] + [(f"SQR{r}", 6 * i) for r in (2, 3, 4) for i in range(5)]


@register("stm32-adc")
class Adc(RegisterFile):
    """One converter with the common registers behind it. ``parameters``: dma (request), kernel (its own clock)."""

    layout = {
        "ISR": {"offset": 0x00, "clear_on_one": 0x7FF}, "IER": 0x04, "CR": {"offset": 0x08, "reset": DEEPPWD},
        "CFGR": {"offset": 0x0C, "reset": 0x80000000}, "CFGR2": 0x10, "SMPR1": 0x14, "SMPR2": 0x18,
        "TR1": {"offset": 0x20, "reset": 0x0FFF0000}, "TR2": {"offset": 0x24, "reset": 0x00FF0000},
        "TR3": {"offset": 0x28, "reset": 0x00FF0000}, "SQR1": 0x30, "SQR2": 0x34, "SQR3": 0x38, "SQR4": 0x3C,
        "DR": {"offset": 0x40, "writable": 0}, "JSQR": 0x4C, "OFR1": 0x60, "OFR2": 0x64, "OFR3": 0x68, "OFR4": 0x6C,
        "AWD2CR": 0xA0, "AWD3CR": 0xA4, "DIFSEL": 0xB0, "CALFACT": 0xB4, "CSR": {"offset": 0x300, "writable": 0}, "CCR": 0x308,
    }  # fmt: skip

    def __init__(self, machine: Machine, name: str, spec: Spec) -> None:
        super().__init__(machine, name, spec)
        self._inputs: dict[int, tuple[float, list[tuple[float, float, float, float]]]] = {}
        self._place = 0
        self._conversion: Event | None = None

    def start(self) -> None:
        """Learn what the board's parts put at the inputs."""
        for name, entry in self.machine.platform.board.parts.items():
            if entry.get("bus") == self.name:
                place = f"platform {self.machine.platform.name!r}: board.parts.{name}"
                channel = entry.get("channel")
                if not isinstance(channel, int) or not 0 <= channel <= 18 or channel in self._inputs:
                    raise InputError(f"{place}: an analogue part needs `channel:`, 0 to 18, one part each")
                tones = [_tone(place, tone) for tone in entry.get("signal", [])]
                self._inputs[channel] = float(entry.get("reference_v", 3.3)), tones

    def volts(self, channel: int) -> float:
        """What is at an input now, as a fraction of the reference."""
        reference, tones = self._inputs.get(channel, (1.0, []))
        time_s = self.now()
        total = sum(o + a * math.sin(2 * math.pi * f * time_s + p) for o, a, f, p in tones)
        return total / reference

    # -- time -----------------------------------------------------------------------------------------------

    def converter_hz(self) -> float:
        """The converter's clock: AHB divided, or its own clock (RM0432 21.4.3)."""
        common = self.value["CCR"]
        mode = common >> 16 & 3
        if mode:
            return self.clock_hz / (1, 2, 4)[mode - 1]
        own = self.parameters.get("kernel", "")
        hz = self.machine.clocks.hz(own) if own else 0.0
        return hz / _PRESCALERS[min(common >> 18 & 0xF, 11)]

    def _resolution(self) -> int:
        return 12 - 2 * (self.value["CFGR"] >> 3 & 3)

    def _channel(self) -> int:
        name, shift = SEQUENCE[self._place]
        return self.value[name] >> shift & 0x1F

    def _convert(self) -> None:
        """Begin with the channel at this place of the sequence."""
        channel, hz = self._channel(), self.converter_hz()
        if not hz:
            self.note("started without a clock: no conversion ever ends")
            return
        sampling = self.value[f"SMPR{1 + channel // 10}"] >> (3 * (channel % 10)) & 7
        self._conversion = self.after((SAMPLE_CLOCKS[sampling] + self._resolution() + 0.5) / hz, self._converted)

    def _converted(self) -> None:
        top = (1 << self._resolution()) - 1
        result = max(0, min(top, round(self.volts(self._channel()) * top)))
        if self.value["CFGR"] & 1 << 5:  # ALIGN
            result <<= 16 - self._resolution()
        if self.value["ISR"] & EOC:
            self.value["ISR"] |= OVR
            self.note("overrun: the last conversion was not read before the next one ended")
        if not self.value["ISR"] & OVR or self.value["CFGR"] & OVRMOD:
            self.value["DR"] = result
        self.value["ISR"] |= EOC | EOSMP
        self._place += 1
        if self._place > (self.value["SQR1"] & 0xF):
            self._place = 0
            self.value["ISR"] |= EOS
            if not self.value["CFGR"] & CONT:
                self.value["CR"] &= ~ADSTART
        if self.value["CR"] & ADSTART:
            self._convert()
        if self.value["CFGR"] & DMAEN and not self.value["ISR"] & OVR:
            self.machine.dma_request(self.parameters["dma"])
        self._update()

    # -- registers ------------------------------------------------------------------------------------------

    def read_DR(self, value: int) -> int:
        self.value["ISR"] &= ~EOC
        self._update()
        return value

    def write_CR(self, old: int, new: int) -> None:
        asked = new & ~old
        # these are cleared by the converter alone
        self.value["CR"] = new | (old & (ADEN | ADSTART | ADCAL))
        if asked & JADSTART:
            self.note("injected channels are not modelled: they are never converted")
        if asked & ADCAL:
            self.after(CALIBRATION_CLOCKS / (self.converter_hz() or 1e6), self._calibrated)
        if asked & ADEN:
            if old & DEEPPWD or not old & ADVREGEN:
                self.note("enabled without its regulator (ADVREGEN): a real one would not work")
            self.state("adc", "active")
            self.value["ISR"] |= ADRDY
        if asked & ADSTART and self.value["CR"] & ADEN:
            self._place = 0
            if self.value["CFGR"] & EXTEN:
                self.note("hardware triggers are not modelled: nothing is converted")
            else:
                self._convert()
        if asked & ADSTP:
            self._stop()
        if asked & ADDIS:
            self._stop()
            self.value["CR"] &= ~(ADEN | ADDIS)
            self.value["ISR"] &= ~ADRDY
            self.state("adc", "off")
        self._update()

    def _calibrated(self) -> None:
        self.value["CR"] &= ~ADCAL

    def _stop(self) -> None:
        if self._conversion is not None:
            self._conversion.cancel()
            self._conversion = None
        self.value["CR"] &= ~(ADSTART | ADSTP)

    def write_ISR(self, _old: int, _written: int) -> None:
        self._update()

    def write_IER(self, _old: int, _new: int) -> None:
        self._update()

    def _update(self) -> None:
        self.irq(bool(self.value["ISR"] & self.value["IER"]))


def _tone(place: str, tone: dict[str, Any]) -> tuple[float, float, float, float]:
    try:
        unknown = set(tone) - {"offset_v", "amplitude_v", "frequency_hz", "phase_rad"}
        if unknown:
            raise KeyError(unknown)
        keys = ("offset_v", "amplitude_v", "frequency_hz", "phase_rad")
        offset, amplitude, frequency, phase = (float(tone.get(key, 0.0)) for key in keys)
        return offset, amplitude, frequency, phase
    except (AttributeError, KeyError, TypeError, ValueError):
        raise InputError(
            f"{place}.signal: expected {{offset_v, amplitude_v, frequency_hz, phase_rad}}, found {tone!r}"
        ) from None
