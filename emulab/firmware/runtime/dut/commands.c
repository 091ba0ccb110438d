/* SPDX-License-Identifier: MIT-0
 * The MLPerf Tiny DUT protocol: commands that end with '%', answers that end with m-ready.
 * Protocol: mlcommons/tiny, benchmark/api (restated; no text of it is used). */
#include "dut.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "port.h"
#ifdef EMULAB_STREAM
#include "stream.h"
#endif

#define COMMAND_BYTES 80
#define BYTES_PER_LINE 8

static char command[COMMAND_BYTES + 1];
static uint32_t expected, loaded; /* bytes of the input announced, and received */

void dut_print(const char *format, ...)
{
    char line[128];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    emulab_console_write(line, size < (int)sizeof line ? (size_t)size : sizeof line - 1);
}

void dut_print_bytes(const char *label, const uint8_t *bytes, size_t size)
{
    char line[3 * BYTES_PER_LINE + 3];
    for (size_t i = 0; i < size; i += BYTES_PER_LINE) {
        char *to = line;
        for (size_t j = i; j < i + BYTES_PER_LINE && j < size; j++) {
            *to++ = "0123456789abcdef"[bytes[j] >> 4];
            *to++ = "0123456789abcdef"[bytes[j] & 15];
            *to++ = '-';
        }
        to[-1] = 0;
        dut_print("%s%s\r\n", label, line);
    }
}

#ifndef EMULAB_DUT_ENERGY
static uint64_t printing; /* ticks spent on printing laps */
#endif

/* Performance: the time as text. Printing it takes milliseconds at 115200 baud, which in a short window would count as
 * inference; the clock therefore stands still while a lap is printed. Energy: a pulse and no text. */
void dut_timestamp(void)
{
#ifdef EMULAB_DUT_ENERGY
    emulab_timestamp_pulse();
#else
    uint64_t now = emulab_timer_ticks();
#if EMULAB_TIMER_HZ % 1000000 == 0
    uint64_t lap = (now - printing) / (EMULAB_TIMER_HZ / 1000000);
#else
    uint64_t lap = (now - printing) * 1000000 / EMULAB_TIMER_HZ;
#endif
    dut_print("m-lap-us-%llu\r\n", (unsigned long long)lap);
    printing += emulab_timer_ticks() - now;
#endif
}

/* The next word of the command; empty when there is none. */
static char *word(char **rest)
{
    char *start = *rest;
    while (*start == ' ')
        start++;
    char *end = start;
    while (*end && *end != ' ')
        end++;
    *rest = *end ? end + 1 : end;
    *end = 0;
    return start;
}

/* A whole decimal number, or *missing* when the word is empty; -1 when it is anything else. */
static long count_of(const char *text, long missing)
{
    char *end;
    if (!*text)
        return missing;
    long value = strtol(text, &end, 10);
    return *end || value < 0 ? -1 : value;
}

static void load(const char *size_text)
{
    long size = count_of(size_text, -1);
    if (!*size_text)
        dut_print("e-[Command 'db load' requires the # of bytes]\r\n");
    else if (size <= 0)
        dut_print("e-[Command 'db load' must be >0 bytes]\r\n");
    else if ((uint32_t)size > dut_input_size)
        dut_print("e-[Supplied buffer size %ld exceeds maximum of %lu]\r\n", size, (unsigned long)dut_input_size);
    else {
        expected = (uint32_t)size;
        loaded = 0;
        dut_print("m-[Expecting %ld bytes]\r\n", size);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Digits beyond the announced size are disregarded, as the host pads nothing but may repeat a line. */
static void hex(const char *digits)
{
    if (strlen(digits) % 2) {
        dut_print("e-[Insufficient number of hex digits]\r\n");
        return;
    }
    if (loaded >= expected) {
        dut_print("e-[No bytes are expected; use 'db load' first]\r\n");
        return;
    }
    for (; *digits && loaded < expected; digits += 2) {
        int high = hex_digit(digits[0]), low = hex_digit(digits[1]);
        if (high < 0 || low < 0) {
            dut_print("e-[Invalid hex digits '%.2s']\r\n", digits);
            return;
        }
        dut_input[loaded++] = (uint8_t)(high << 4 | low);
    }
    if (loaded == expected)
        dut_print("m-load-done\r\n");
}

static void buffer(char *rest)
{
    const char *what = word(&rest);
    if (!*what)
        dut_print("e-[Command 'db' requires a subcommand]\r\n");
    else if (!strcmp(what, "load"))
        load(word(&rest));
    else if (!strcmp(what, "print"))
        dut_print_bytes("m-buffer-", dut_input, expected);
    else
        hex(what);
}

static void infer(char *rest)
{
    long inferences = count_of(word(&rest), 1), warmups = count_of(word(&rest), 10);
    if (inferences <= 0)
        dut_print("e-[Inference iterations must be >0]\r\n");
    else if (warmups < 0)
        dut_print("e-[Warmup iterations must be >=0]\r\n");
    else
        dut_infer((uint32_t)warmups, (uint32_t)inferences);
}

static void help(void)
{
    dut_print("help            : this text\r\n");
    dut_print("name            : name of the device\r\n");
    dut_print("profile         : firmware and model\r\n");
    dut_print("timestamp       : one timestamp\r\n");
    dut_print("db load N       : announce N bytes of input\r\n");
    dut_print("db HH[HH...]    : bytes of input\r\n");
    dut_print("db print        : the input as received\r\n");
    dut_print("infer N [W]     : W warm-ups (10), then N timed inferences\r\n");
    dut_print("results         : the last output\r\n");
    dut_print("output          : the last output, bytes of the tensor\r\n");
#ifdef EMULAB_STREAM
    dut_print("start, stop     : listen to the microphone; scores and detections\r\n");
#endif
}

static void execute(char *text)
{
    char *rest = text;
    const char *name = word(&rest);
    if (!strcmp(name, "name"))
        dut_print("m-name-dut-[%s]\r\n", EMULAB_DUT_NAME);
    else if (!strcmp(name, "profile"))
        dut_print("m-profile-[%s]\r\nm-model-[%s]\r\n", EMULAB_DUT_PROFILE, EMULAB_DUT_MODEL);
    else if (!strcmp(name, "timestamp"))
        dut_timestamp();
    else if (!strcmp(name, "db"))
        buffer(rest);
    else if (!strcmp(name, "infer"))
        infer(rest);
    else if (!strcmp(name, "results"))
        dut_results();
    else if (!strcmp(name, "output"))
        dut_output();
    else if (!strcmp(name, "help"))
        help();
#ifdef EMULAB_STREAM
    else if (!strcmp(name, "start"))
        stream_start();
    else if (!strcmp(name, "stop"))
        stream_stop();
#endif
    else
        dut_print("e-[Unknown command: %s]\r\n", name);
    dut_print("m-ready\r\n");
}

_Noreturn void emulab_main(void)
{
    uint32_t size = 0;
#ifdef EMULAB_DUT_ENERGY
    dut_print("m-timestamp-mode-energy\r\n");
#else
    dut_print("m-timestamp-mode-performance\r\n");
#endif
    dut_timestamp();
    dut_print("m-init-done\r\nm-ready\r\n");
    for (;;) {
        char c = (char)emulab_console_read();
        if (c == '\r' || c == '\n') /* a person at a terminal */
            continue;
        if (c != '%') {
            if (size < COMMAND_BYTES)
                command[size] = c;
            size++;
            continue;
        }
        if (size > COMMAND_BYTES) {
            dut_print("e-[Command longer than %d bytes]\r\nm-ready\r\n", COMMAND_BYTES);
        } else {
            command[size] = 0;
            execute(command);
        }
        size = 0;
    }
}
