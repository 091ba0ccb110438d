/* SPDX-License-Identifier: MIT-0
 * nRF52840: Bluetooth LE advertising with the chip's own radio, by interrupts; the core sleeps in between. Sources: nRF52840
 * Product Specification v1.7, 5.4 (crystal), 6.20 (radio); Bluetooth Core Specification 5.4, volume 6, part B 2.1 (packet),
 * 2.3.1.3 (ADV_NONCONN_IND), 3.1.1 (CRC), 3.2 (whitening), 4.4.2.2 (interval and delay). */
#include "nrf52840.h"

#include "emulab_drivers.h"

#define RADIO 0x40001000u
#define FICR_ADDRESS 0x100000A4u
#define ACCESS_ADDRESS 0x8E89BED6u
#define RANDOM_ADDRESS 0x40u /* TxAdd */
#define ADV_NONCONN_IND 2u

static uint8_t packet[2 + 6 + 31]; /* header, length, address, data */
static uint32_t address[2], channel, random_state, interval_ticks;
static volatile uint32_t events_left, busy; /* busy: the crystal starts, or packets go out */

static const uint8_t frequency[3] = {2, 26, 80}; /* MHz above 2400 of channels 37, 38, 39 */

static void transmit(void)
{
    R(RADIO + 0x508) = frequency[channel];
    R(RADIO + 0x554) = 37u + channel; /* whitening; the chip sets bit 6 itself */
    R(RADIO + 0x000) = 1;
}

static void advertise(void)
{
    busy = 1;
    R(CLOCK + 0x000) = 1; /* HFCLKSTART */
}

static void rest(void)
{
    R(CLOCK + 0x004) = 1; /* HFCLKSTOP */
    busy = 0;
}

/* Three packets one after the other, then wait for the next event or be done. */
static void radio_interrupt(void)
{
    R(RADIO + 0x110) = 0;
    (void)R(RADIO + 0x110);
    if (events_left && ++channel < 3) {
        transmit();
        return;
    }
    rest();
    if (events_left && --events_left) {
        random_state = random_state * 1664525u + 1013904223u;
        nrf52840_alarm(interval_ticks + (random_state >> 16) * 328u / 65536u, advertise); /* up to 10 ms */
    }
}

static void crystal_interrupt(void)
{
    R(CLOCK + 0x100) = 0;
    (void)R(CLOCK + 0x100);
    if (!events_left) {
        rest();
        return;
    }
    channel = 0;
    transmit();
}

int emulab_radio_init(void)
{
    address[0] = R(FICR_ADDRESS), address[1] = R(FICR_ADDRESS + 4u);
    R(RADIO + 0xFFC) = 1;
    R(RADIO + 0x510) = 3;                          /* Bluetooth LE, 1 Mbit/s */
    R(RADIO + 0x650) = 1u | 2u << 8;               /* fast ramp-up; centre frequency while idle */
    R(RADIO + 0x50C) = 0;                          /* 0 dBm */
    R(RADIO + 0x514) = 8u | 1u << 8;               /* LENGTH of 8 bits behind a byte S0 */
    R(RADIO + 0x518) = 37u | 3u << 16 | 1u << 25;  /* up to 37 bytes, base address of 3 bytes, whitening */
    R(RADIO + 0x51C) = ACCESS_ADDRESS << 8;
    R(RADIO + 0x524) = ACCESS_ADDRESS >> 24;
    R(RADIO + 0x52C) = 0;
    R(RADIO + 0x534) = 3u | 1u << 8;               /* CRC of 3 bytes, without the address */
    R(RADIO + 0x538) = 0x65Bu;
    R(RADIO + 0x53C) = 0x555555u;
    R(RADIO + 0x504) = (uint32_t)(uintptr_t)packet;
    R(RADIO + 0x200) = 3;                          /* READY starts, END disables */
    R(RADIO + 0x304) = 1u << 4;                    /* DISABLED */
    R(CLOCK + 0x304) = 1;                          /* HFCLKSTARTED */
    R(CLOCK + 0x100) = 0;
    emulab_interrupt_attach(IRQ_RADIO, radio_interrupt);
    emulab_interrupt_attach(IRQ_CLOCK, crystal_interrupt);
    return 0;
}

int emulab_radio_advertise(const uint8_t *data, uint32_t n, uint32_t interval_ms, uint8_t events)
{
    if (n > 31 || interval_ms < 20 || interval_ms > 10000 || !events)
        return -1;
    uint32_t state = emulab_core_lock();
    events_left = 0; /* what is under way ends with its packet */
    nrf52840_alarm_off();
    emulab_core_unlock(state);
    while (busy)
        ;
    packet[0] = ADV_NONCONN_IND | RANDOM_ADDRESS;
    packet[1] = (uint8_t)(6 + n);
    for (uint32_t i = 0; i < 6; i++)
        packet[2 + i] = (uint8_t)(address[i / 4] >> 8 * (i % 4));
    packet[7] |= 0xC0; /* a static random address */
    for (uint32_t i = 0; i < n; i++)
        packet[8 + i] = data[i];
    /* delays begin anew with each message: two nodes differ by their addresses */
    random_state = address[0];
    interval_ticks = interval_ms * 32768u / 1000u;
    events_left = events;
    advertise();
    return 0;
}
