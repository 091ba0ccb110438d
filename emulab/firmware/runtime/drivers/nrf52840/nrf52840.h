/* SPDX-License-Identifier: MIT-0
 * nRF52840: what its drivers share. Source: nRF52840 Product Specification v1.7, 4.2 and the chapter named with each. */
#ifndef EMULAB_NRF52840_H
#define EMULAB_NRF52840_H

#include "port.h"

#define R EMULAB_REGISTER
#define CLOCK 0x40000000u
#define RTC1 0x40011000u
#define GPIO(port) ((port) == '1' ? 0x50000300u : 0x50000000u)
#define IRQ_CLOCK 0u
#define IRQ_RADIO 1u
#define IRQ_GPIOTE 6u
#define IRQ_RTC1 17u

/* Call *action* (an interrupt) in *ticks* of 32768 a second, at least 2; an earlier alarm is forgotten. */
void nrf52840_alarm(uint32_t ticks, void (*action)(void));
void nrf52840_alarm_off(void);

#endif
