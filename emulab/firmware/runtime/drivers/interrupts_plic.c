/* SPDX-License-Identifier: MIT-0
 * Interrupt handlers at run time behind a PLIC. Source: RISC-V PLIC specification 1.0. */
#include "emulab_drivers.h"
#include "port.h"

#define SOURCES 64
#define MIE_EXTERNAL (1u << 11)

static void (*handlers[SOURCES])(void);

void emulab_interrupt_external(uint32_t source)
{
    if (source < SOURCES && handlers[source])
        handlers[source]();
}

void emulab_interrupt_attach(uint32_t number, void (*handler)(void))
{
    if (number >= SOURCES)
        emulab_fault(2, number);
    handlers[number] = handler;
    EMULAB_REGISTER(EMULAB_PLIC_BASE + 4 * number) = 1;
    EMULAB_REGISTER(EMULAB_PLIC_BASE + 0x2000 + 4 * (number / 32)) |= 1u << number % 32;
    __asm__ volatile("csrs mie, %0" ::"r"(MIE_EXTERNAL));
}
