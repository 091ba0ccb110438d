/* SPDX-License-Identifier: MIT-0
 * What the DUT firmware needs of a board; one small file per kind of peripheral implements each part.
 *
 * Addresses, clocks and interrupt numbers come from emulab_config.h, which is generated from the platform. */
#ifndef EMULAB_PORT_H
#define EMULAB_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "emulab_config.h"

#define EMULAB_REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* generated: clocks, pins and whatever else the platform lists under board.firmware.init */
void emulab_board_init(void);

/* UART driver */
void emulab_uart_init(void);
void emulab_uart_write(const char *data, size_t size); /* returns when the last bit has left */
void emulab_uart_service(void); /* hands what has come to emulab_console_received; interrupt handler and poll */

/* timer driver: ticks of EMULAB_TIMER_HZ since emulab_timer_init, without wrap if read often enough */
void emulab_timer_init(void);
uint64_t emulab_timer_ticks(void);
void emulab_timer_interrupt(void); /* only where the driver needs one: SysTick */

/* timestamp pin driver: idles high, one pulse of at least 1 us low */
void emulab_timestamp_init(void);
void emulab_timestamp_pulse(void);

/* core: Cortex-M or RISC-V */
void emulab_core_start_caches(void); /* where the core has caches of its own and the platform wants them */
void emulab_core_start_interrupts(void);
uint32_t emulab_core_lock(void);          /* interrupts off; returns what unlock needs */
void emulab_core_unlock(uint32_t state);
void emulab_core_sleep(void);             /* until an interrupt is pending, also with interrupts off */
_Noreturn void emulab_start(void);        /* C part of the reset: memory, board, main */

/* console.c */
void emulab_console_init(void);
void emulab_console_received(uint8_t byte);
uint8_t emulab_console_read(void);        /* sleeps until there is a byte */
void emulab_console_write(const char *data, size_t size);
_Noreturn void emulab_fault(uint32_t cause, uint32_t address);

_Noreturn void emulab_main(void);

#endif
