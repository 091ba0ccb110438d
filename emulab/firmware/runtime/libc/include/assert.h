/* SPDX-License-Identifier: MIT-0
 * assert() of the bare-metal C library: a failed one ends in abort(), where a debugger or emulator finds it. */
#include <stdlib.h>

#undef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition) ((condition) ? (void)0 : abort())
#endif
#ifndef EMULAB_LIBC_ASSERT_H
#define EMULAB_LIBC_ASSERT_H
#define static_assert _Static_assert
#endif
