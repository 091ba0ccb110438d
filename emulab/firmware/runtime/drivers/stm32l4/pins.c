/* SPDX-License-Identifier: MIT-0
 * STM32L4+: pins and their interrupts. Source: ST RM0432 chapters 8, 9, 16. */
#include "emulab_drivers.h"
#include "stm32l4.h"

static void port_clock(char port)
{
    R(RCC_AHB2ENR) |= 1u << (port - 'A');
}

static void mode(char port, uint32_t pin, uint32_t value)
{
    port_clock(port);
    R(GPIO(port)) = (R(GPIO(port)) & ~(3u << 2 * pin)) | value << 2 * pin;
}

void stm32l4_alternate(char port, uint32_t pin, uint32_t function)
{
    port_clock(port);
    uint32_t select = GPIO(port) + 0x20 + 4 * (pin / 8), shift = 4 * (pin % 8);
    R(select) = (R(select) & ~(15u << shift)) | function << shift;
    mode(port, pin, 2);
}

void emulab_pin_write(char port, uint32_t pin, int level)
{
    R(GPIO(port) + 0x18) = level ? 1u << pin : 1u << (pin + 16);
}

void emulab_pin_output(char port, uint32_t pin, int level)
{
    port_clock(port);
    emulab_pin_write(port, pin, level);
    mode(port, pin, 1);
}

static volatile uint32_t *flags[5]; /* lines 0 to 4 have an interrupt each */

static void line_interrupt(void)
{
    uint32_t pending = R(EXTI_PR1) & 0x1Fu;
    R(EXTI_PR1) = pending;
    for (uint32_t line = 0; line < 5; line++)
        if (pending >> line & 1 && flags[line])
            *flags[line] = 1;
}

void emulab_pin_on_rising(char port, uint32_t pin, volatile uint32_t *flag)
{
    if (pin > 4)
        emulab_fault(2, pin); /* lines 5 to 15 share interrupts that other drivers may want */
    flags[pin] = flag;
    R(RCC_APB2ENR) |= 1u; /* SYSCFG */
    mode(port, pin, 0);
    uint32_t shift = 4 * (pin % 4);
    R(SYSCFG_EXTICR(pin)) = (R(SYSCFG_EXTICR(pin)) & ~(15u << shift)) | (uint32_t)(port - 'A') << shift;
    R(EXTI_RTSR1) |= 1u << pin;
    R(EXTI_IMR1) |= 1u << pin;
    emulab_interrupt_attach(IRQ_EXTI0 + pin, line_interrupt);
}
