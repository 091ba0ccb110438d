/* SPDX-License-Identifier: MIT-0
 * Number parsing and integer helpers of the bare-metal C library. There is no heap. */
#ifndef EMULAB_LIBC_STDLIB_H
#define EMULAB_LIBC_STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

/* Out-of-range values saturate as the standard says; errno is not set, there is none. */
long strtol(const char *restrict text, char **restrict end, int base);
unsigned long strtoul(const char *restrict text, char **restrict end, int base);
int atoi(const char *text);
int abs(int value);
long labs(long value);
_Noreturn void abort(void);

#endif
