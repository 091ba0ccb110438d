/* SPDX-License-Identifier: MIT-0 */
/* Firmware for MPS2 (AN386) that does, at a word from the console, what firmware does well and badly. */
#include <stdint.h>

#define DATA (*(volatile uint32_t *)0x40004000)
#define STATE (*(volatile uint32_t *)0x40004004)
#define CTRL (*(volatile uint32_t *)0x40004008)
#define BAUDDIV (*(volatile uint32_t *)0x40004010)
#define SYST ((volatile uint32_t *)0xE000E010)

int8_t left[4096], right[4096];
volatile int32_t sink;
volatile uint32_t ticks;

static void put(char c)
{
    while (STATE & 1)
        ;
    DATA = (uint32_t)c;
}

static void say(const char *text)
{
    while (*text)
        put(*text++);
    put('\r');
    put('\n');
}

static int get(void)
{
    while (!(STATE & 2))
        ;
    return (int)DATA;
}

__attribute__((noinline)) void convolution(int turns)
{
    int32_t sum = 0;
    for (int turn = 0; turn < turns; turn++)
        for (int i = 0; i < 4096; i++)
            sum += left[i] * right[i];
    sink = sum;
}

__attribute__((noinline)) void window_start(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void window_stop(void) { __asm__ volatile("" ::: "memory"); }

static void fault(void)
{
    for (;;)
        ;
}

static void tick(void) { ticks++; }

static void main_loop(void)
{
    BAUDDIV = 217;
    CTRL = 3;
    say("m-ready");
    for (;;) {
        int c = get();
        if (c == 'w') {
            say("m-lap-us-1");
            window_start();
            convolution(2);
            window_stop();
            say("m-lap-us-2");
        } else if (c == 'b') {
            convolution(4000);
        } else if (c == 'f') {
            for (;;)
                say("flood flood flood flood flood flood flood");
        } else if (c == 'h') {
            for (;;)
                ;
        } else if (c == 'u') {
            __asm__ volatile(".short 0xDE00"); /* undefined */
        } else if (c == 'l') {
            __asm__ volatile("cpsid i\n cpsid f\n .short 0xDE00"); /* cannot be taken: lockup */
        } else if (c == 's') { /* sleep for ten ticks of 1 ms */
            SYST[1] = 25000 - 1, SYST[2] = 0, SYST[0] = 7;
            while (ticks < 10)
                __asm__ volatile("wfi");
            SYST[0] = 0;
            say("slept");
        } else if (c == 'x') {
            register uint32_t operation __asm__("r0") = 0x18, reason __asm__("r1") = 0x20026;
            __asm__ volatile("bkpt 0xAB" ::"r"(operation), "r"(reason));
        } else if (c != '%') {
            put((char)c);
            continue;
        }
        say("m-ready");
    }
}

__attribute__((used, section(".vectors"))) const void *const vectors[16] = {
    (void *)0x20010000, main_loop, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, tick,
};
