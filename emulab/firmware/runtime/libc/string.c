/* SPDX-License-Identifier: MIT-0
 * mem* and str*: word-wise where alignment allows. Compile with -fno-builtin, or a compiler may turn the loop
 * of memcpy into a call of memcpy. */
#include <stdint.h>
#include <string.h>

typedef uint32_t __attribute__((may_alias)) word;
struct __attribute__((packed, may_alias)) unaligned_word {
    uint32_t value;
};

#define WORD sizeof(word)
#define MISALIGNED(pointer) ((uintptr_t)(pointer) & (WORD - 1))

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    unsigned char *d = to;
    const unsigned char *s = from;
    if (size >= 2 * WORD) {
        while (MISALIGNED(d)) {
            *d++ = *s++;
            size--;
        }
        if (!MISALIGNED(s)) {
            word *dw = (word *)d;
            const word *sw = (const word *)s;
            for (; size >= 4 * WORD; size -= 4 * WORD, dw += 4, sw += 4) {
                word a = sw[0], b = sw[1], c = sw[2], e = sw[3];
                dw[0] = a;
                dw[1] = b;
                dw[2] = c;
                dw[3] = e;
            }
            for (; size >= WORD; size -= WORD)
                *dw++ = *sw++;
            d = (unsigned char *)dw;
            s = (const unsigned char *)sw;
        }
#if defined(__ARM_FEATURE_UNALIGNED)
        else {
            word *dw = (word *)d;
            for (; size >= WORD; size -= WORD, s += WORD)
                *dw++ = ((const struct unaligned_word *)s)->value;
            d = (unsigned char *)dw;
        }
#else
        else {
            /* shift neighbouring aligned words together: half the loads of a byte loop */
            unsigned shift = 8 * (unsigned)MISALIGNED(s);
            const word *sw = (const word *)((uintptr_t)s & ~(uintptr_t)(WORD - 1));
            word *dw = (word *)d;
            uint32_t low = *sw++;
            for (; size >= 2 * WORD; size -= WORD, s += WORD) {
                uint32_t high = *sw++;
                *dw++ = (low >> shift) | (high << (32 - shift));
                low = high;
            }
            d = (unsigned char *)dw;
        }
#endif
    }
    while (size--)
        *d++ = *s++;
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    unsigned char *d = to;
    const unsigned char *s = from;
    if ((uintptr_t)d - (uintptr_t)s >= size) { /* also when d is below s: forward is safe */
        if (MISALIGNED(d) == MISALIGNED(s)) {
            for (; size && MISALIGNED(d); size--)
                *d++ = *s++;
            for (; size >= WORD; size -= WORD, d += WORD, s += WORD)
                *(word *)d = *(const word *)s;
        }
        while (size--)
            *d++ = *s++;
        return to;
    }
    d += size;
    s += size;
    if (MISALIGNED(d) == MISALIGNED(s)) {
        for (; size && MISALIGNED(d); size--)
            *--d = *--s;
        for (; size >= WORD; size -= WORD) {
            d -= WORD;
            s -= WORD;
            *(word *)d = *(const word *)s;
        }
    }
    while (size--)
        *--d = *--s;
    return to;
}

void *memset(void *to, int value, size_t size)
{
    unsigned char *d = to;
    if (size >= 2 * WORD) {
        word pattern = (unsigned char)value * 0x01010101u;
        for (; MISALIGNED(d); size--)
            *d++ = (unsigned char)value;
        word *dw = (word *)d;
        for (; size >= 4 * WORD; size -= 4 * WORD, dw += 4) {
            dw[0] = pattern;
            dw[1] = pattern;
            dw[2] = pattern;
            dw[3] = pattern;
        }
        for (; size >= WORD; size -= WORD)
            *dw++ = pattern;
        d = (unsigned char *)dw;
    }
    while (size--)
        *d++ = (unsigned char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *p = a, *q = b;
    for (; size; size--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *memchr(const void *where, int value, size_t size)
{
    const unsigned char *p = where;
    for (; size; size--, p++)
        if (*p == (unsigned char)value)
            return (void *)p;
    return NULL;
}

size_t strlen(const char *text)
{
    const char *p = text;
    while (*p)
        p++;
    return (size_t)(p - text);
}

size_t strnlen(const char *text, size_t limit)
{
    size_t n = 0;
    while (n < limit && text[n])
        n++;
    return n;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t limit)
{
    for (; limit; limit--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

char *strcpy(char *restrict to, const char *restrict from)
{
    char *d = to;
    while ((*d++ = *from++))
        ;
    return to;
}

char *strncpy(char *restrict to, const char *restrict from, size_t limit)
{
    size_t i = 0;
    for (; i < limit && from[i]; i++)
        to[i] = from[i];
    for (; i < limit; i++)
        to[i] = 0;
    return to;
}

char *strcat(char *restrict to, const char *restrict from)
{
    strcpy(to + strlen(to), from);
    return to;
}

char *strchr(const char *text, int value)
{
    for (;; text++) {
        if (*text == (char)value)
            return (char *)text;
        if (!*text)
            return NULL;
    }
}

char *strrchr(const char *text, int value)
{
    const char *found = NULL;
    for (;; text++) {
        if (*text == (char)value)
            found = text;
        if (!*text)
            return (char *)found;
    }
}

char *strstr(const char *text, const char *part)
{
    size_t size = strlen(part);
    for (;; text++) {
        if (!strncmp(text, part, size))
            return (char *)text;
        if (!*text)
            return NULL;
    }
}
