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
 * A marker is one store of the address of its name to the variable emulab_marker. A backend watches that store; the
 * word stored is the address of a zero-terminated name in the image, and the store is the edge of the window. On a
 * board it is a harmless write to RAM of about three instructions. The variable is weak, so this header is all that is
 * needed: any number of files may use it, in C or C++, with or without the rest of the runtime. */
#ifndef EMULAB_H
#define EMULAB_H

#ifdef __cplusplus
extern "C" {
#endif

__attribute__((weak, used)) const char *volatile emulab_marker;

#ifdef __cplusplus
}
#endif

/* The barriers keep the compiler from moving work across the edge. */
#define EMULAB_MARKER_TEXT(text)            \
    do {                                    \
        __asm__ volatile("" ::: "memory");  \
        emulab_marker = text;               \
        __asm__ volatile("" ::: "memory");  \
    } while (0)

#define EMULAB_MARKER(name) EMULAB_MARKER_TEXT(#name)
#define EMULAB_WINDOW_BEGIN(name) EMULAB_MARKER_TEXT(#name ".begin")
#define EMULAB_WINDOW_END(name) EMULAB_MARKER_TEXT(#name ".end")

#endif
