/* SPDX-License-Identifier: MIT-0
 * vsnprintf: integers, strings and exact fixed-point output of doubles. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct sink {
    char *to;
    size_t size, count;
};

static void put(struct sink *out, char c)
{
    if (out->count + 1 < out->size)
        out->to[out->count] = c;
    out->count++;
}

static void repeat(struct sink *out, char c, int times)
{
    while (times-- > 0)
        put(out, c);
}

struct spec {
    char left, zero, plus, space, alternate, conversion;
    int width, precision; /* precision -1: not given */
};

/* *prefix*, zeros, *body*, padded to the width. */
static void field(struct sink *out, const struct spec *spec, const char *prefix, int zeros, const char *body, int size)
{
    int prefix_size = (int)strlen(prefix);
    int pad = spec->width - prefix_size - zeros - size;
    if (!spec->left && !spec->zero)
        repeat(out, ' ', pad);
    for (; *prefix; prefix++)
        put(out, *prefix);
    if (!spec->left && spec->zero)
        repeat(out, '0', pad);
    repeat(out, '0', zeros);
    for (int i = 0; i < size; i++)
        put(out, body[i]);
    if (spec->left)
        repeat(out, ' ', pad);
}

static const char *sign_of(const struct spec *spec, int negative)
{
    return negative ? "-" : spec->plus ? "+" : spec->space ? " " : "";
}

static void integer(struct sink *out, struct spec *spec, unsigned long long value, int negative)
{
    char digits[24];
    int n = 0;
    unsigned base = spec->conversion == 'o' ? 8 : (spec->conversion | 32) == 'x' || spec->conversion == 'p' ? 16 : 10;
    const char *letters = spec->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    const char *prefix = "";
    if (spec->conversion == 'd')
        prefix = sign_of(spec, negative);
    else if (base == 16 && spec->alternate && value)
        prefix = spec->conversion == 'X' ? "0X" : "0x";
    int none = value == 0 && spec->precision == 0;
    /* 64-bit division is slow on 32-bit cores: leave it as soon as the value fits 32 bits */
    while (value >> 32) {
        digits[n++] = letters[value % base];
        value /= base;
    }
    for (uint32_t low = (uint32_t)value; !none && (low || !n); low /= base)
        digits[n++] = letters[low % base];
    if (base == 8 && spec->alternate && (n == 0 || digits[n - 1] != '0') && spec->precision <= n)
        digits[n++] = '0';
    for (int i = 0; i < n / 2; i++) {
        char swap = digits[i];
        digits[i] = digits[n - 1 - i];
        digits[n - 1 - i] = swap;
    }
    if (spec->precision >= 0)
        spec->zero = 0;
    field(out, spec, prefix, spec->precision > n ? spec->precision - n : 0, digits, n);
}

#define WHOLE_WORDS 33    /* 2^1024 */
#define FRACTION_WORDS 34 /* 2^-1074, rounded up to words of 32 bits */
#define MOST_DECIMALS 40

/* Put *value* << *shift* into little-endian *words*. */
static void place(uint32_t *words, int count, uint64_t value, int shift)
{
    memset(words, 0, sizeof(uint32_t) * (size_t)count);
    int at = shift / 32, bits = shift % 32;
    uint64_t low = value << bits, high = bits ? value >> (64 - bits) : 0;
    if (at < count)
        words[at] = (uint32_t)low;
    if (at + 1 < count)
        words[at + 1] = (uint32_t)(low >> 32);
    if (at + 2 < count)
        words[at + 2] = (uint32_t)high;
}

/* Digits of the exact value, rounded half to even; *text* holds 310 + 1 + MOST_DECIMALS characters. */
static int fixed(char *text, uint64_t bits, int precision, int point)
{
    int exponent = (int)(bits >> 52 & 0x7ff);
    uint64_t mantissa = bits & 0xfffffffffffffull;
    if (exponent)
        mantissa |= 1ull << 52;
    else
        exponent = 1;
    exponent -= 1075; /* value = mantissa * 2^exponent */
    uint32_t words[FRACTION_WORDS];
    char whole[310];
    int n = 0;
    uint64_t integral = exponent >= 0 ? mantissa : exponent > -64 ? mantissa >> -exponent : 0;
    if (exponent > 10) {
        place(words, WHOLE_WORDS, mantissa, exponent);
        for (int top = WHOLE_WORDS; top;) {
            uint64_t rest = 0;
            for (int i = top - 1; i >= 0; i--) {
                rest = rest << 32 | words[i];
                words[i] = (uint32_t)(rest / 10);
                rest %= 10;
            }
            whole[n++] = (char)('0' + rest);
            while (top && !words[top - 1])
                top--;
        }
    } else {
        if (exponent > 0)
            integral = mantissa << exponent;
        do {
            whole[n++] = (char)('0' + integral % 10);
            integral /= 10;
        } while (integral);
    }
    int size = 0;
    while (n)
        text[size++] = whole[--n];
    if (precision || point)
        text[size++] = '.';
    /* the fraction as FRACTION_WORDS * 32 bits behind the point */
    if (exponent < 0) {
        uint64_t part = exponent > -64 ? mantissa & ((1ull << -exponent) - 1) : mantissa;
        place(words, FRACTION_WORDS, part, FRACTION_WORDS * 32 + exponent);
    } else {
        memset(words, 0, sizeof words);
    }
    for (int digit = 0; digit < precision; digit++) {
        uint64_t carry = 0;
        for (int i = 0; i < FRACTION_WORDS; i++) {
            carry += (uint64_t)words[i] * 10;
            words[i] = (uint32_t)carry;
            carry >>= 32;
        }
        text[size++] = (char)('0' + carry);
    }
    int rest = 0; /* anything below the first bit */
    for (int i = 0; i < FRACTION_WORDS - 1; i++)
        rest |= words[i] != 0;
    uint32_t top = words[FRACTION_WORDS - 1];
    rest |= (top & 0x7fffffff) != 0;
    int last = size - 1;
    while (last >= 0 && text[last] == '.')
        last--;
    if (top >> 31 && (rest || (text[last] - '0') % 2)) {
        int i = size - 1;
        for (; i >= 0; i--) {
            if (text[i] == '.')
                continue;
            if (text[i]++ != '9')
                break;
            text[i] = '0';
        }
        if (i < 0) {
            memmove(text + 1, text, (size_t)size);
            text[0] = '1';
            size++;
        }
    }
    return size;
}

static void floating(struct sink *out, struct spec *spec, double value)
{
    char text[312 + MOST_DECIMALS];
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    const char *sign = sign_of(spec, (int)(bits >> 63));
    bits &= ~(1ull << 63);
    if (bits >= 0x7ffull << 52) {
        int nan = bits > 0x7ffull << 52, upper = spec->conversion == 'F';
        spec->zero = 0;
        field(out, spec, sign, 0, nan ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf", 3);
        return;
    }
    int precision = spec->precision < 0 ? 6 : spec->precision > MOST_DECIMALS ? MOST_DECIMALS : spec->precision;
    field(out, spec, sign, 0, text, fixed(text, bits, precision, spec->alternate));
}

static int number(const char **format, va_list *arguments)
{
    int value = 0;
    if (**format == '*') {
        (*format)++;
        return va_arg(*arguments, int);
    }
    for (; **format >= '0' && **format <= '9'; (*format)++)
        value = value * 10 + **format - '0';
    return value;
}

int vsnprintf(char *restrict to, size_t size, const char *restrict form, va_list list)
{
    const char *format = form;
    struct sink out = {to, size, 0};
    va_list arguments;
    va_copy(arguments, list);
    for (; *format; format++) {
        if (*format != '%') {
            put(&out, *format);
            continue;
        }
        const char *start = format++;
        struct spec spec = {.precision = -1};
        for (;; format++) {
            if (*format == '-')
                spec.left = 1;
            else if (*format == '0')
                spec.zero = 1;
            else if (*format == '+')
                spec.plus = 1;
            else if (*format == ' ')
                spec.space = 1;
            else if (*format == '#')
                spec.alternate = 1;
            else
                break;
        }
        spec.width = number(&format, &arguments);
        if (spec.width < 0) {
            spec.left = 1;
            spec.width = -spec.width;
        }
        if (*format == '.') {
            format++;
            spec.precision = number(&format, &arguments);
        }
        int width = 2; /* 0 char, 1 short, 2 int, 3 long, 4 long long, 5 size_t, 6 intmax_t, 7 ptrdiff_t */
        if (*format == 'h') {
            width = *++format == 'h' ? (format++, 0) : 1;
        } else if (*format == 'l') {
            width = *++format == 'l' ? (format++, 4) : 3;
        } else if (*format == 'z') {
            width = 5, format++;
        } else if (*format == 'j') {
            width = 6, format++;
        } else if (*format == 't') {
            width = 7, format++;
        }
        spec.conversion = *format == 'i' ? 'd' : *format;
        switch (spec.conversion) {
        case 'd': {
            long long value = width == 6   ? (long long)va_arg(arguments, intmax_t)
                              : width == 4 ? va_arg(arguments, long long)
                              : width == 3 ? va_arg(arguments, long)
                              : width == 5 ? (long long)va_arg(arguments, ptrdiff_t)
                              : width == 7 ? (long long)va_arg(arguments, ptrdiff_t)
                                           : va_arg(arguments, int);
            if (width == 0)
                value = (signed char)value;
            else if (width == 1)
                value = (short)value;
            integer(&out, &spec, value < 0 ? 0ull - (unsigned long long)value : (unsigned long long)value, value < 0);
            break;
        }
        case 'u':
        case 'x':
        case 'X':
        case 'o': {
            unsigned long long value = width == 6   ? (unsigned long long)va_arg(arguments, uintmax_t)
                                       : width == 4 ? va_arg(arguments, unsigned long long)
                                       : width == 3 ? va_arg(arguments, unsigned long)
                                       : width == 5 ? va_arg(arguments, size_t)
                                       : width == 7 ? (unsigned long long)va_arg(arguments, size_t)
                                                    : va_arg(arguments, unsigned);
            if (width == 0)
                value = (unsigned char)value;
            else if (width == 1)
                value = (unsigned short)value;
            integer(&out, &spec, value, 0);
            break;
        }
        case 'p':
            spec.alternate = 1;
            integer(&out, &spec, (uintptr_t)va_arg(arguments, void *), 0);
            break;
        case 'c': {
            char c = (char)va_arg(arguments, int);
            spec.zero = 0;
            field(&out, &spec, "", 0, &c, 1);
            break;
        }
        case 's': {
            const char *text = va_arg(arguments, const char *);
            if (!text)
                text = "(null)";
            spec.zero = 0;
            field(&out, &spec, "", 0, text,
                  (int)(spec.precision < 0 ? strlen(text) : strnlen(text, (size_t)spec.precision)));
            break;
        }
        case 'f':
        case 'F':
            floating(&out, &spec, va_arg(arguments, double));
            break;
        case '%':
            put(&out, '%');
            break;
        default: /* not known: show it as it stands */
            for (; start <= format && *start; start++)
                put(&out, *start);
            if (!*format)
                format--;
        }
    }
    va_end(arguments);
    if (size)
        to[out.count < size ? out.count : size - 1] = 0;
    return (int)out.count;
}

int snprintf(char *restrict to, size_t size, const char *restrict format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(to, size, format, arguments);
    va_end(arguments);
    return count;
}
