/* SPDX-License-Identifier: MIT-0
 * Interrupt handlers at run time: a copy of the vector table in RAM. Registers: Arm DDI 0403, B3.2.5 (VTOR) and B3.4. */
#include "emulab_drivers.h"
#include "port.h"

#define SCB_VTOR 0xE000ED08
#define NVIC_ISER 0xE000E100

typedef void (*vector)(void);
extern const vector emulab_vectors[16 + EMULAB_INTERRUPTS];

/* aligned to the next power of two of its size, up to 240 interrupts */
static vector table[16 + EMULAB_INTERRUPTS] __attribute__((aligned(1024)));

void emulab_interrupt_attach(uint32_t number, void (*handler)(void))
{
    if (EMULAB_REGISTER(SCB_VTOR) != (uint32_t)(uintptr_t)table) {
        for (uint32_t i = 0; i < 16 + EMULAB_INTERRUPTS; i++)
            table[i] = emulab_vectors[i];
        __asm__ volatile("dsb" ::: "memory");
        EMULAB_REGISTER(SCB_VTOR) = (uint32_t)(uintptr_t)table;
    }
    table[16 + number] = handler;
    __asm__ volatile("dsb" ::: "memory");
    EMULAB_REGISTER(NVIC_ISER + 4 * (number / 32)) = 1u << number % 32;
}
