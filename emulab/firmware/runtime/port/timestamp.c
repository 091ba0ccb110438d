/* SPDX-License-Identifier: MIT-0
 * The timestamp pulse of energy mode on a GPIO: idles high, a falling edge, low for at least 1 us.
 * Registers: STM32 RM0432 8.4, nRF52840 PS v1.7 6.9.2, FE310-G002 Manual 17. */
#include "port.h"

#if defined(EMULAB_TIMESTAMP_STM32_GPIO)

static void drive(int high)
{
    EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE + 0x18) = 1u << (EMULAB_TIMESTAMP_PIN + (high ? 0 : 16));
}

static void configure(void)
{
    uint32_t mode = EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE);
    mode &= ~(3u << (2 * EMULAB_TIMESTAMP_PIN));
    EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE) = mode | 1u << (2 * EMULAB_TIMESTAMP_PIN);
}

#elif defined(EMULAB_TIMESTAMP_NRF_GPIO)

static void drive(int high)
{
    EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE + (high ? 0x508 : 0x50C)) = 1u << EMULAB_TIMESTAMP_PIN;
}

static void configure(void)
{
    EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE + 0x700 + 4 * EMULAB_TIMESTAMP_PIN) = 3;
}

#elif defined(EMULAB_TIMESTAMP_SIFIVE_GPIO)

static void drive(int high)
{
    uint32_t bit = 1u << EMULAB_TIMESTAMP_PIN, value = EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE + 0x0C);
    EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE + 0x0C) = high ? value | bit : value & ~bit;
}

static void configure(void)
{
    EMULAB_REGISTER(EMULAB_TIMESTAMP_BASE + 0x08) |= 1u << EMULAB_TIMESTAMP_PIN;
}

#else /* the board has no such pin: energy mode is refused when the firmware is built */

static void drive(int high) { (void)high; }
static void configure(void) {}

#endif

void emulab_timestamp_init(void)
{
    drive(1);
    configure();
}

void emulab_timestamp_pulse(void)
{
    drive(0);
    uint64_t start = emulab_timer_ticks();
    while (emulab_timer_ticks() - start <= 2 * EMULAB_TIMER_HZ / 1000000u)
        ;
    drive(1);
}
