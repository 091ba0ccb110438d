/* SPDX-License-Identifier: MIT-0
 * nRF52840: the wake-up timer (RTC1 on the 32 kHz crystal), pins that wake. Source: nRF52840 Product Specification v1.7,
 * 5.3 (power), 5.4 (clock), 6.9 (sense), 6.10 (GPIOTE), 6.22 (RTC). */
#include "nrf52840.h"

#include "emulab_drivers.h"

#define GPIOTE 0x40006000u
#define PORT 0x17Cu

/* The core has one clock. What differs is what keeps the high-frequency clock in sleep: crystal and console. */
void emulab_clock_full(void)
{
    emulab_uart_init();
}

void emulab_clock_slow(void)
{
    R(EMULAB_UART_BASE + 0x308) = 1u << 4; /* stopping ends a reception of no bytes: none of the console's */
    R(EMULAB_UART_BASE + 0x144) = 0;
    R(EMULAB_UART_BASE + 0x004) = 1; /* STOPRX */
    while (!R(EMULAB_UART_BASE + 0x144))
        ;
    R(EMULAB_UART_BASE + 0x500) = 0;
    R(CLOCK + 0x004) = 1; /* HFCLKSTOP */
}

static volatile uint32_t *timer_flag;
static uint32_t timer_ticks;
static void (*alarm_action)(void);

static void timer_interrupt(void)
{
    if (R(RTC1 + 0x140)) {
        R(RTC1 + 0x140) = 0;
        R(RTC1 + 0x540) = (R(RTC1 + 0x540) + timer_ticks) & 0xFFFFFFu;
        *timer_flag = 1;
    }
    if (R(RTC1 + 0x144)) {
        R(RTC1 + 0x144) = 0;
        R(RTC1 + 0x308) = 1u << 17;
        alarm_action();
    }
    (void)R(RTC1 + 0x144);
}

static void timer_start(void)
{
    static uint32_t started;
    if (started)
        return;
    started = 1;
    R(CLOCK + 0x518) = 1; /* LFCLK from the crystal */
    R(CLOCK + 0x104) = 0;
    R(CLOCK + 0x008) = 1;
    while (!R(CLOCK + 0x104))
        ;
    R(RTC1 + 0x508) = 0;
    R(RTC1 + 0x000) = 1;
    emulab_interrupt_attach(IRQ_RTC1, timer_interrupt);
}

void emulab_wake_every(uint32_t period_ms, volatile uint32_t *flag)
{
    timer_flag = flag;
    timer_ticks = (uint32_t)((uint64_t)period_ms * 32768u / 1000u);
    timer_start();
    R(RTC1 + 0x140) = 0;
    R(RTC1 + 0x540) = (R(RTC1 + 0x504) + timer_ticks) & 0xFFFFFFu;
    R(RTC1 + 0x304) = 1u << 16;
}

void nrf52840_alarm_off(void)
{
    R(RTC1 + 0x308) = 1u << 17;
}

void nrf52840_alarm(uint32_t ticks, void (*action)(void))
{
    timer_start();
    nrf52840_alarm_off();
    alarm_action = action;
    R(RTC1 + 0x544) = (R(RTC1 + 0x504) + ticks) & 0xFFFFFFu;
    R(RTC1 + 0x144) = 0;
    R(RTC1 + 0x304) = 1u << 17;
}

static volatile uint32_t *pin_flag;
static uint32_t pin_port, pin_mask;

/* The pin asks for its high level until it is there: the interrupt is an edge although the sense is a level. */
static void pin_interrupt(void)
{
    R(GPIOTE + PORT) = 0;
    (void)R(GPIOTE + PORT);
    if (R(pin_port + 0x510) & pin_mask)
        *pin_flag = 1;
}

void emulab_pin_on_rising(char port, uint32_t pin, volatile uint32_t *flag)
{
    if (pin_flag)
        emulab_fault(2, pin); /* the PORT event does not tell two pins apart */
    pin_flag = flag, pin_port = GPIO(port), pin_mask = 1u << pin;
    R(pin_port + 0x700u + 4u * pin) = 2u << 16; /* input, no pull, sense high */
    R(GPIOTE + PORT) = 0;
    R(GPIOTE + 0x304) = 1u << 31;
    emulab_interrupt_attach(IRQ_GPIOTE, pin_interrupt);
}
