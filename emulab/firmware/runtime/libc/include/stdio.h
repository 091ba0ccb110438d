/* SPDX-License-Identifier: MIT-0
 * A small printf family: flags "-0+ #", width, precision (also *), h hh l ll z j t,
 * conversions d i u x X o c s p f F %. Floating point is exact, rounded half to even, like a hosted one. */
#ifndef EMULAB_LIBC_STDIO_H
#define EMULAB_LIBC_STDIO_H

#include <stdarg.h>
#include <stddef.h>

int snprintf(char *restrict to, size_t size, const char *restrict format, ...)
    __attribute__((format(printf, 3, 4)));
int vsnprintf(char *restrict to, size_t size, const char *restrict format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

#endif
