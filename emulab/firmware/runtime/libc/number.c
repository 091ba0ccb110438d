/* SPDX-License-Identifier: MIT-0
 * strtol and its kin, abs, abort. */
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 99;
}

/* Magnitude of the number at *text*, saturated to ULONG_MAX (then *overflow is set). */
static unsigned long parse(const char *text, char **end, int base, int *negative, int *overflow)
{
    const char *p = text;
    *negative = *overflow = 0;
    while (*p == ' ' || (*p >= '\t' && *p <= '\r'))
        p++;
    if (*p == '+' || *p == '-')
        *negative = *p++ == '-';
    if ((base == 0 || base == 16) && p[0] == '0' && (p[1] | 32) == 'x' && digit_of(p[2]) < 16) {
        p += 2;
        base = 16;
    } else if (base == 0) {
        base = *p == '0' ? 8 : 10;
    }
    const char *first = p;
    unsigned long value = 0;
    for (; digit_of(*p) < base; p++) {
        unsigned long digit = (unsigned long)digit_of(*p);
        if (value > (ULONG_MAX - digit) / (unsigned long)base)
            *overflow = 1;
        else
            value = value * (unsigned long)base + digit;
    }
    if (end)
        *end = (char *)(p == first ? text : p);
    return *overflow ? ULONG_MAX : value;
}

unsigned long strtoul(const char *restrict text, char **restrict end, int base)
{
    int negative, overflow;
    unsigned long value = parse(text, end, base, &negative, &overflow);
    return negative && !overflow ? 0ul - value : value;
}

long strtol(const char *restrict text, char **restrict end, int base)
{
    int negative, overflow;
    unsigned long value = parse(text, end, base, &negative, &overflow);
    if (negative)
        return value > (unsigned long)LONG_MAX ? LONG_MIN : -(long)value;
    return value > (unsigned long)LONG_MAX ? LONG_MAX : (long)value;
}

int atoi(const char *text) { return (int)strtol(text, NULL, 10); }

int abs(int value) { return value < 0 ? -value : value; }

long labs(long value) { return value < 0 ? -value : value; }

/* A call here is a bug in the program: trap, so that the emulator or debugger stops at the place. */
__attribute__((weak)) _Noreturn void abort(void)
{
    for (;;)
        __builtin_trap();
}
