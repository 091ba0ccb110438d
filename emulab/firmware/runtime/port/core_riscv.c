/* SPDX-License-Identifier: MIT-0
 * RISC-V, machine mode: reset, traps, sleep; external interrupts through a PLIC.
 * Source: RISC-V privileged specification 1.12, chapter 3; PLIC specification 1.0. */
#include "port.h"

/* Interrupt calls keep only what C may not: the sixteen caller-saved integer registers. */
__asm__(
    ".section .text.emulab_reset, \"ax\", @progbits\n"
    ".globl emulab_reset\n"
    ".type emulab_reset, @function\n"
    "emulab_reset:\n"
    "    csrw mie, zero\n"
    "    la t0, emulab_trap_entry\n"
    "    csrw mtvec, t0\n"
    "    csrr t0, mhartid\n"
    "1:  beqz t0, 2f\n"
    "    wfi\n" /* only the first hart runs */
    "    j 1b\n"
    "2:\n"
#if defined(__riscv_flen)
    "    li t0, 0x2000\n" /* mstatus.FS = initial */
    "    csrs mstatus, t0\n"
    "    fscsr zero\n"
#endif
    ".option push\n"
    ".option norelax\n"
    "    la gp, __global_pointer$\n"
    ".option pop\n"
    "    la sp, emulab_stack_high\n"
    "    call emulab_start\n"
    ".size emulab_reset, . - emulab_reset\n"
    "\n"
    ".section .text.emulab_trap_entry, \"ax\", @progbits\n"
    ".balign 64\n"
    ".globl emulab_trap_entry\n"
    ".type emulab_trap_entry, @function\n"
    "emulab_trap_entry:\n"
    "    addi sp, sp, -64\n"
    "    sw ra, 0(sp)\n"
    "    sw t0, 4(sp)\n"
    "    sw t1, 8(sp)\n"
    "    sw t2, 12(sp)\n"
    "    sw a0, 16(sp)\n"
    "    sw a1, 20(sp)\n"
    "    sw a2, 24(sp)\n"
    "    sw a3, 28(sp)\n"
    "    sw a4, 32(sp)\n"
    "    sw a5, 36(sp)\n"
    "    sw a6, 40(sp)\n"
    "    sw a7, 44(sp)\n"
    "    sw t3, 48(sp)\n"
    "    sw t4, 52(sp)\n"
    "    sw t5, 56(sp)\n"
    "    sw t6, 60(sp)\n"
    "    csrr a0, mcause\n"
    "    csrr a1, mepc\n"
    "    call emulab_trap\n"
    "    lw ra, 0(sp)\n"
    "    lw t0, 4(sp)\n"
    "    lw t1, 8(sp)\n"
    "    lw t2, 12(sp)\n"
    "    lw a0, 16(sp)\n"
    "    lw a1, 20(sp)\n"
    "    lw a2, 24(sp)\n"
    "    lw a3, 28(sp)\n"
    "    lw a4, 32(sp)\n"
    "    lw a5, 36(sp)\n"
    "    lw a6, 40(sp)\n"
    "    lw a7, 44(sp)\n"
    "    lw t3, 48(sp)\n"
    "    lw t4, 52(sp)\n"
    "    lw t5, 56(sp)\n"
    "    lw t6, 60(sp)\n"
    "    addi sp, sp, 64\n"
    "    mret\n"
    ".size emulab_trap_entry, . - emulab_trap_entry\n"
    ".text\n");

#define MIE_EXTERNAL (1u << 11)
#define MSTATUS_MIE (1u << 3)
#define MACHINE_EXTERNAL 0x8000000Bu
#define MACHINE_TIMER 0x80000007u

#ifdef EMULAB_DRIVERS /* an application's drivers take interrupts too */
void emulab_interrupt_external(uint32_t source);
void emulab_interrupt_timer(void);
#endif

#ifdef EMULAB_PLIC_BASE
#define PLIC_PRIORITY (EMULAB_PLIC_BASE)
#define PLIC_ENABLE (EMULAB_PLIC_BASE + 0x2000)
#define PLIC_THRESHOLD (EMULAB_PLIC_BASE + 0x200000)
#define PLIC_CLAIM (EMULAB_PLIC_BASE + 0x200004)
#endif

__attribute__((used)) void emulab_trap(uint32_t cause, uint32_t address)
{
#if defined(EMULAB_UART_IRQ) && defined(EMULAB_PLIC_BASE)
    if (cause == MACHINE_EXTERNAL) {
        uint32_t source = EMULAB_REGISTER(PLIC_CLAIM);
        if (source == EMULAB_UART_IRQ)
            emulab_uart_service();
#ifdef EMULAB_DRIVERS
        else if (source)
            emulab_interrupt_external(source);
#endif
        if (source)
            EMULAB_REGISTER(PLIC_CLAIM) = source;
        return;
    }
#endif
#ifdef EMULAB_DRIVERS
    if (cause == MACHINE_TIMER) {
        emulab_interrupt_timer();
        return;
    }
#endif
    emulab_fault(cause, address);
}

void emulab_core_start_interrupts(void)
{
#if defined(EMULAB_UART_IRQ) && defined(EMULAB_PLIC_BASE)
    EMULAB_REGISTER(PLIC_PRIORITY + 4 * EMULAB_UART_IRQ) = 1;
    EMULAB_REGISTER(PLIC_ENABLE + 4 * (EMULAB_UART_IRQ / 32)) = 1u << EMULAB_UART_IRQ % 32;
    EMULAB_REGISTER(PLIC_THRESHOLD) = 0;
    __asm__ volatile("csrs mie, %0" ::"r"(MIE_EXTERNAL));
    __asm__ volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
#endif
}

uint32_t emulab_core_lock(void)
{
    uint32_t state;
    __asm__ volatile("csrrc %0, mstatus, %1" : "=r"(state) : "r"(MSTATUS_MIE) : "memory");
    return state & MSTATUS_MIE;
}

void emulab_core_unlock(uint32_t state)
{
    __asm__ volatile("csrs mstatus, %0" ::"r"(state) : "memory");
}

/* WFI resumes on a pending enabled interrupt also with mstatus.MIE clear (privileged specification 3.3.3). */
void emulab_core_sleep(void)
{
    __asm__ volatile("wfi" ::: "memory");
}
