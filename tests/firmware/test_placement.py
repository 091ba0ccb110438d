"""Constants in RAM: the most read first, as many as fit, and the firmware still answers the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulab.firmware.build import BuildOptions, build
from emulab.firmware.placement import Constants, choose
from emulab.model.platform import data_folder, load_platform

HAR = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"

constants = st.lists(
    st.builds(
        Constants,
        section=st.integers(0, 10**6).map(lambda n: f".rodata.w{n}"),
        size_bytes=st.integers(0, 500).map(lambda n: 8 * n),
        reads_per_byte=st.floats(0, 1000),
    ),
    max_size=12,
    unique_by=lambda c: c.section,
)


@given(items=constants, free=st.integers(-100, 8000))
def test_choice_fits_and_prefers_what_is_read_most(items: list[Constants], free: int) -> None:
    chosen = choose(items, free)
    by_name = {item.section: item for item in items}
    used = sum(by_name[name].size_bytes for name in chosen)
    assert used <= max(free, 0) and len(set(chosen)) == len(chosen)
    for item in items:
        if item.section not in chosen and item.size_bytes:
            # it was left out because what is read more often took its place
            better = [by_name[n].size_bytes for n in chosen if by_name[n].reads_per_byte >= item.reads_per_byte]
            assert sum(better) + item.size_bytes > free


def test_fe310_keeps_its_weights_in_ram() -> None:
    built = build(HAR, load_platform("hifive1-revb").platform, options=BuildOptions(model_id="har01"))
    assert built.constants_in_ram and built.ram_bytes + built.stack_bytes <= 16384
    data = next(s for s in built.image.sections if s.name == ".data")
    assert data.kind == "data" and data.load_address >= 0x20010000 and data.address >= 0x80000000
    # the first convolution slides over the whole window: nothing is read more often
    assert ".rodata.emulab_w0" in built.constants_in_ram
    assert 0x80000000 <= built.image.symbols["emulab_w0"].address < 0x80004000
    flash = build(
        HAR, load_platform("hifive1-revb").platform, options=BuildOptions(model_id="har01", constants="flash")
    )
    assert flash.constants_in_ram == () and flash.ram_bytes < built.ram_bytes
    assert flash.image.symbols["emulab_w0"].address >= 0x20010000


def test_other_boards_keep_them_in_flash_unless_asked() -> None:
    platform = load_platform("nucleo-l4r5zi").platform
    assert build(HAR, platform, options=BuildOptions(model_id="har01")).constants_in_ram == ()
    asked = build(HAR, platform, options=BuildOptions(model_id="har01", constants="ram"))
    assert asked.flash_by_section.get(".rodata.model", 0) < 200
    assert asked.flash_by_section[".data"] >= asked.weight_bytes
