/* SPDX-License-Identifier: MIT-0
 * Cortex-M: vector table, reset, faults, sleep. Registers: Armv7-M ARM (DDI 0403) B3, Armv8-M ARM (DDI 0553). */
#include "port.h"

#define SCB_VTOR 0xE000ED08
#define SCB_CFSR 0xE000ED28
#define NVIC_ISER 0xE000E100

extern uint32_t emulab_stack_high[];
void emulab_reset(void);
void emulab_fault_entry(void);
_Noreturn void emulab_fault_report(const uint32_t *frame);

/* Before any C: the stack (a debugger or emulator may jump here without the vector table) and the FPU, which the
 * compiler may use in any function. */
__attribute__((naked, used, section(".text.emulab_reset"))) void emulab_reset(void)
{
    __asm__ volatile(
        "ldr r0, =emulab_stack_high\n"
        "msr msp, r0\n"
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
        "ldr r0, =0xE000ED88\n" /* CPACR: full access to CP10 and CP11 */
        "ldr r1, [r0]\n"
        "ldr r2, =0x00F00000\n"
        "orrs r1, r2\n"
        "str r1, [r0]\n"
#if defined(__ARM_FEATURE_MVE)
        "ldr r0, =0xE000ED14\n" /* CCR.LOB: loops without a branch cost nothing once they are known */
        "ldr r1, [r0]\n"
        "orr r1, r1, #0x80000\n"
        "str r1, [r0]\n"
#endif
        "dsb\n"
        "isb\n"
#endif
        "bl emulab_start\n"
        ".ltorg\n");
}

__attribute__((naked, used)) void emulab_fault_entry(void)
{
    __asm__ volatile(
        "mrs r0, msp\n"
        "ldr r1, =emulab_stack_high\n" /* the fault may be that the stack ran out */
        "msr msp, r1\n"
        "ldr r1, =emulab_fault_report\n"
        "bx r1\n"
        ".ltorg\n");
}

/* frame: r0 r1 r2 r3 r12 lr pc xpsr */
__attribute__((used)) _Noreturn void emulab_fault_report(const uint32_t *frame)
{
#if __ARM_ARCH >= 7
    emulab_fault(EMULAB_REGISTER(SCB_CFSR), frame[6]);
#else
    emulab_fault(3, frame[6]); /* Armv6-M has HardFault only, without a cause */
#endif
}

__attribute__((used)) void emulab_uart_interrupt(void)
{
    emulab_uart_service();
}

#ifdef EMULAB_AUDIO_IRQ
void emulab_audio_interrupt(void);
#endif

static void unexpected(void)
{
    uint32_t number;
    __asm__ volatile("mrs %0, ipsr" : "=r"(number));
    emulab_fault(number, 0);
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) const vector emulab_vectors[16 + EMULAB_INTERRUPTS] = {
    [0] = (vector)emulab_stack_high,
    [1] = emulab_reset,
    [2] = unexpected,
    [3] = emulab_fault_entry,
    [4] = emulab_fault_entry,
    [5] = emulab_fault_entry,
    [6] = emulab_fault_entry,
    [7 ... 15 + EMULAB_INTERRUPTS] = unexpected,
#ifdef EMULAB_TIMER_SYSTICK
    [15] = emulab_timer_interrupt,
#endif
#ifdef EMULAB_UART_IRQ
    [16 + EMULAB_UART_IRQ] = emulab_uart_interrupt,
#endif
#ifdef EMULAB_AUDIO_IRQ
    [16 + EMULAB_AUDIO_IRQ] = emulab_audio_interrupt,
#endif
};

#ifdef EMULAB_CORE_CACHES
#define SCB_CCR 0xE000ED14
#define SCB_CCSIDR 0xE000ED80
#define SCB_CSSELR 0xE000ED84
#define SCB_ICIALLU 0xE000EF50
#define SCB_DCISW 0xE000EF60

/* Cortex-M7: content of the caches is undefined after reset, so they are invalidated first (DDI 0489, 5.7; DDI 0403,
 * B2.2 and B4.8: geometry, set/way). */
void emulab_core_start_caches(void)
{
    EMULAB_REGISTER(SCB_ICIALLU) = 0;
    __asm__ volatile("dsb\n isb" ::: "memory");
    EMULAB_REGISTER(SCB_CCR) |= 1u << 17;
    EMULAB_REGISTER(SCB_CSSELR) = 0;
    __asm__ volatile("dsb" ::: "memory");
    uint32_t geometry = EMULAB_REGISTER(SCB_CCSIDR);
    uint32_t sets = (geometry >> 13 & 0x7FFF) + 1, ways = (geometry >> 3 & 0x3FF) + 1;
    uint32_t line = (geometry & 7) + 4, way = ways > 1 ? (uint32_t)__builtin_clz(ways - 1) : 0;
    for (uint32_t s = 0; s < sets; s++)
        for (uint32_t w = 0; w < ways; w++)
            EMULAB_REGISTER(SCB_DCISW) = s << line | w << way;
    __asm__ volatile("dsb" ::: "memory");
    EMULAB_REGISTER(SCB_CCR) |= 1u << 16;
    __asm__ volatile("dsb\n isb" ::: "memory");
}
#endif

void emulab_core_start_interrupts(void)
{
#if __ARM_ARCH >= 7 || defined(__ARM_ARCH_8M_BASE__) || defined(EMULAB_HAS_VTOR)
    EMULAB_REGISTER(SCB_VTOR) = (uint32_t)(uintptr_t)emulab_vectors;
#endif
#ifdef EMULAB_UART_IRQ
    EMULAB_REGISTER(NVIC_ISER + 4 * (EMULAB_UART_IRQ / 32)) = 1u << EMULAB_UART_IRQ % 32;
#endif
#ifdef EMULAB_AUDIO_IRQ
    EMULAB_REGISTER(NVIC_ISER + 4 * (EMULAB_AUDIO_IRQ / 32)) = 1u << EMULAB_AUDIO_IRQ % 32;
#endif
    __asm__ volatile("cpsie i" ::: "memory");
}

uint32_t emulab_core_lock(void)
{
    uint32_t mask;
    __asm__ volatile("mrs %0, primask\n cpsid i" : "=r"(mask)::"memory");
    return mask;
}

void emulab_core_unlock(uint32_t mask)
{
    __asm__ volatile("msr primask, %0\n isb" ::"r"(mask) : "memory");
}

/* WFI wakes on a pending interrupt even while PRIMASK is set (DDI 0403, B1.5.19). */
void emulab_core_sleep(void)
{
    __asm__ volatile("dsb\n wfi" ::: "memory");
}
