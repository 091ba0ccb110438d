/* A DUT that speaks over RTT: small rings, so that both wrap; it answers name% and profile% and takes input. */
#include <stdint.h>

typedef struct {
    const char *name;
    char *data;
    uint32_t size;
    volatile uint32_t write, read;
    uint32_t flags;
} ring_t;

typedef struct {
    char id[16];
    int32_t up_count, down_count;
    ring_t up[1], down[1];
} block_t;

static char up_data[23], down_data[11];
block_t _SEGGER_RTT;

static void put(char c)
{
    ring_t *up = &_SEGGER_RTT.up[0];
    uint32_t next = (up->write + 1) % up->size;
    while (next == up->read)
        ; /* the host has to read first */
    up->data[up->write] = c;
    up->write = next;
}

static void say(const char *text)
{
    while (*text)
        put(*text++);
    put('\r');
    put('\n');
}

static char get(void)
{
    ring_t *down = &_SEGGER_RTT.down[0];
    while (down->read == down->write)
        ;
    char c = down->data[down->read];
    down->read = (down->read + 1) % down->size;
    return c;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

_Noreturn void reset(void)
{
    static const char id[] = "SEGGER RTT";
    block_t *block = &_SEGGER_RTT;
    for (volatile uint32_t i = 0; i < 2000; i++)
        ; /* a firmware takes its time until it prints */
    block->up_count = block->down_count = 1;
    block->up[0] = (ring_t){"Terminal", up_data, sizeof up_data, 0, 0, 2};
    block->down[0] = (ring_t){"Terminal", down_data, sizeof down_data, 0, 0, 2};
    for (int i = 0; i < 10; i++)
        ((volatile char *)block->id)[i] = id[i]; /* last, so that nobody finds half a block */
    say("m-timestamp-mode-performance");
    say("m-init-done");
    say("m-ready");
    for (;;) {
        static char line[80];
        uint32_t n = 0;
        for (char c; (c = get()) != '%';)
            if (n < sizeof line - 1)
                line[n++] = c;
        line[n] = 0;
        if (same(line, "name"))
            say("m-name-dut-[over RTT]");
        else if (same(line, "profile"))
            say("m-profile-[ULPMark]"), say("m-model-[kws01]");
        else
            say("e-[Unknown command]");
        say("m-ready");
    }
}

__attribute__((section(".vectors"), used)) const uint32_t vectors[2] = {0x20010000, (uint32_t)&reset};
