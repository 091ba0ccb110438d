/* SPDX-License-Identifier: MIT-0
 * Markers: name a place in the program so that an emulated run can be measured from there.
 *
 *     #include "emulab.h"
 *     EMULAB_WINDOW_BEGIN(filter);
 *     filter(samples);
 *     EMULAB_WINDOW_END(filter);
 *
 * A scenario then says `windows: [{name: filter, from: "marker:filter.begin", to: "marker:filter.end"}]`.
 *
 * EMULAB_MARKER(x) is one store to a variable of its own, the symbol `emulab_marker_x`; the two window macros are
 * markers called `x.begin` and `x.end`. A backend resolves the symbol and watches stores to that address: the store is the
 * edge of the window, whatever is stored. On a board it is a harmless write to RAM of about three instructions.
 *
 * The variable is a common symbol that the marker itself defines, so this header is all that is needed: the same marker may
 * stand in any number of places and files, C or C++, with or without the rest of the runtime, and a loop or an inlined
 * function may be duplicated by the compiler. */
#ifndef EMULAB_H
#define EMULAB_H

/* The barriers keep the compiler from moving work across the edge. Where the core can make an address in place, it is made
 * beside the store: a compiler that keeps it in a register across a loop would hide the store from the backend. */
#if (defined(__ARM_ARCH) && __ARM_ARCH >= 7) || defined(__ARM_ARCH_8M_BASE__)
#define EMULAB_MARKER_SYMBOL(symbol, text)                       \
    do {                                                         \
        unsigned int symbol;                                     \
        __asm__ volatile(".comm " text ", 4, 4\n\t"              \
                         "movw %0, #:lower16:" text "\n\t"       \
                         "movt %0, #:upper16:" text "\n\t"       \
                         "str %0, [%0]"                          \
                         : "=&r"(symbol)::"memory");             \
    } while (0)
#elif defined(__riscv) && __riscv_xlen == 32
#define EMULAB_MARKER_SYMBOL(symbol, text)                       \
    do {                                                         \
        unsigned int symbol;                                     \
        __asm__ volatile(".comm " text ", 4, 4\n\t"              \
                         ".option push\n\t"                      \
                         ".option norelax\n\t"                   \
                         "lui %0, %%hi(" text ")\n\t"            \
                         "sw %0, %%lo(" text ")(%0)\n\t"         \
                         ".option pop"                           \
                         : "=&r"(symbol)::"memory");             \
    } while (0)
#else
#define EMULAB_MARKER_SYMBOL(symbol, text)                       \
    do {                                                         \
        extern volatile unsigned int symbol __asm__(text);       \
        __asm__ volatile(".comm " text ", 4, 4" ::: "memory");   \
        symbol = 1;                                              \
        __asm__ volatile("" ::: "memory");                       \
    } while (0)
#endif

#define EMULAB_MARKER(name) EMULAB_MARKER_SYMBOL(emulab_marker_##name, "emulab_marker_" #name)
#define EMULAB_WINDOW_BEGIN(name) EMULAB_MARKER_SYMBOL(emulab_marker_begin_##name, "emulab_marker_" #name ".begin")
#define EMULAB_WINDOW_END(name) EMULAB_MARKER_SYMBOL(emulab_marker_end_##name, "emulab_marker_" #name ".end")

#endif
