/* SPDX-License-Identifier: MIT-0
 * The C part of the reset: memory, board, console, main. Symbols come from the generated linker script. */
#include "port.h"

extern uint32_t emulab_data_start[], emulab_data_end[], emulab_bss_start[], emulab_bss_end[];
extern const uint32_t emulab_data_load[];
extern uint32_t emulab_stack_low[], emulab_stack_high[];
extern const char emulab_stack_pattern[]; /* an absolute symbol: its address is the pattern */

/* noinline and without local arrays: everything below this frame is unused stack and may be painted */
__attribute__((noinline)) static void paint_stack(void)
{
    uint32_t *top = (uint32_t *)__builtin_frame_address(0) - 16;
    for (volatile uint32_t *word = emulab_stack_low; word < top; word++)
        *word = (uint32_t)(uintptr_t)emulab_stack_pattern;
}

_Noreturn void emulab_start(void)
{
    paint_stack();
    const uint32_t *from = emulab_data_load;
    if (from != emulab_data_start)
        for (volatile uint32_t *to = emulab_data_start; to < emulab_data_end;)
            *to++ = *from++;
    for (volatile uint32_t *to = emulab_bss_start; to < emulab_bss_end;)
        *to++ = 0;
    emulab_board_init();
#ifdef EMULAB_CORE_CACHES
    emulab_core_start_caches();
#endif
    emulab_timer_init();
    emulab_timestamp_init();
    emulab_console_init();
    emulab_core_start_interrupts();
    emulab_main();
}
