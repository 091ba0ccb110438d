/* SPDX-License-Identifier: MIT-0
 * FE310-G002: the wake-up timer (the CLINT's, at 32768 Hz), pins that wake. The chip has no deep sleep that keeps RAM, and one
 * clock point here. Source: SiFive FE310-G002 manual, chapters 9 and 17. */
#include "emulab_drivers.h"
#include "port.h"

#define R EMULAB_REGISTER
#define MTIMECMP 0x02004000
#define MTIME 0x0200BFF8
#define GPIO 0x10012000u
#define IRQ_GPIO 8u
#define MIE_TIMER (1u << 7)

void emulab_clock_full(void)
{
}

void emulab_clock_slow(void)
{
}

static volatile uint32_t *timer_flag;
static uint32_t timer_ticks;
static uint64_t timer_due;

static uint64_t now(void)
{
    uint32_t high, low;
    do {
        high = R(MTIME + 4);
        low = R(MTIME);
    } while (high != R(MTIME + 4));
    return (uint64_t)high << 32 | low;
}

static void next(void)
{
    timer_due += timer_ticks;
    R(MTIMECMP + 4) = 0xFFFFFFFFu; /* nothing in between (privileged specification 3.2.1) */
    R(MTIMECMP) = (uint32_t)timer_due;
    R(MTIMECMP + 4) = (uint32_t)(timer_due >> 32);
}

void emulab_interrupt_timer(void)
{
    next();
    *timer_flag = 1;
}

void emulab_wake_every(uint32_t period_ms, volatile uint32_t *flag)
{
    timer_flag = flag;
    timer_ticks = (uint32_t)((uint64_t)period_ms * 32768u / 1000u);
    timer_due = now();
    next();
    __asm__ volatile("csrs mie, %0" ::"r"(MIE_TIMER));
}

static volatile uint32_t *flags[32];

static void pin_interrupt(void)
{
    uint32_t pending = R(GPIO + 0x1C) & R(GPIO + 0x18);
    R(GPIO + 0x1C) = pending;
    for (uint32_t pin = 0; pin < 32; pin++)
        if (pending >> pin & 1)
            *flags[pin] = 1;
}

void emulab_pin_on_rising(char port, uint32_t pin, volatile uint32_t *flag)
{
    (void)port;
    flags[pin] = flag;
    R(GPIO + 0x38) &= ~(1u << pin);
    R(GPIO + 0x08) &= ~(1u << pin);
    R(GPIO + 0x04) |= 1u << pin; /* input */
    R(GPIO + 0x1C) = 1u << pin;
    R(GPIO + 0x18) |= 1u << pin; /* rising */
    emulab_interrupt_attach(IRQ_GPIO + pin, pin_interrupt);
}
