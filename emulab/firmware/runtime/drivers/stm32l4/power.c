/* SPDX-License-Identifier: MIT-0
 * STM32L4+: clocks, sleep, Stop 2, the wake-up timer (LPTIM1 on the 32 kHz crystal). Source: ST RM0432 chapters 5, 6, 42. */
#include "emulab_drivers.h"
#include "stm32l4.h"

#define LPTIM1_ISR 0x40007C00
#define LPTIM1_ICR 0x40007C04
#define LPTIM1_IER 0x40007C08
#define LPTIM1_CFGR 0x40007C0C
#define LPTIM1_CR 0x40007C10
#define LPTIM1_ARR 0x40007C18
#define ARRM 2u
#define ARROK 0x10u

void emulab_clock_full(void)
{
    emulab_board_init();
}

/* The 4 MHz oscillator the chip starts with, without the PLL: also what it runs from after Stop 2 (5.3.7). */
void emulab_clock_slow(void)
{
    R(RCC_CFGR) &= ~3u;
    while (R(RCC_CFGR) & 0xCu)
        ;
    R(RCC_CR) &= ~(1u << 24);
    R(FLASH_ACR) &= ~0xFu; /* no wait states up to 20 MHz */
    while (R(FLASH_ACR) & 0xFu)
        ;
}

void emulab_wait(volatile uint32_t *flag, int deep)
{
    if (deep)
        R(PWR_CR1) = (R(PWR_CR1) & ~7u) | 2u; /* Stop 2 */
    R(SCB_SCR) = deep ? 4u : 0u;
    for (;;) {
        uint32_t state = emulab_core_lock(); /* so that the interrupt cannot slip in between the look and the sleep */
        if (*flag) {
            emulab_core_unlock(state);
            break;
        }
        emulab_core_sleep();
        emulab_core_unlock(state);
    }
    *flag = 0;
    R(SCB_SCR) = 0;
}

static volatile uint32_t *timer_flag;

static void timer_interrupt(void)
{
    R(LPTIM1_ICR) = ARRM;
    *timer_flag = 1;
}

void emulab_wake_every(uint32_t period_ms, volatile uint32_t *flag)
{
    timer_flag = flag;
    R(RCC_APB1ENR1) |= 1u << 28; /* PWR */
    R(PWR_CR1) |= 1u << 8;       /* DBP: the backup domain may be written */
    R(RCC_BDCR) |= 1u;           /* LSE on */
    while (!(R(RCC_BDCR) & 2u))
        ;
    R(RCC_CCIPR) |= 3u << 18; /* LPTIM1 from LSE */
    R(RCC_APB1ENR1) |= 1u << 31;
    R(LPTIM1_CR) = 0;
    R(LPTIM1_CFGR) = 3u << 9; /* 32768 / 8 = 4096 a second */
    R(LPTIM1_IER) = ARRM;     /* only while the timer is off */
    R(LPTIM1_CR) = 1u;
    R(LPTIM1_ARR) = period_ms * 4096u / 1000u - 1u;
    while (!(R(LPTIM1_ISR) & ARROK))
        ;
    R(LPTIM1_ICR) = ARROK;
    emulab_interrupt_attach(IRQ_LPTIM1, timer_interrupt);
    R(LPTIM1_CR) = 1u | 4u; /* continuous */
}
