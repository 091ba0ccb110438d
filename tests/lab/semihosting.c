/* A DUT that speaks over semihosting: SYS_WRITE0, SYS_WRITEC, SYS_OPEN of :tt, SYS_READC; it tries to open a file too. */
#include <stdint.h>

static int32_t request(int32_t number, const void *argument)
{
    register int32_t r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static void text(const char *said)
{
    request(0x04, said);
}

static int32_t open_file(const char *name, int32_t mode, int32_t size)
{
    int32_t block[3] = {(int32_t)name, mode, size};
    return request(0x01, block);
}

_Noreturn void reset(void)
{
    int32_t out = open_file(":tt", 4, 3);
    int32_t block[3] = {out, (int32_t) "m-init-done\r\n", 13};
    text("m-timestamp-mode-performance\r\n");
    request(0x05, block);
    if (open_file("/etc/passwd", 0, 11) != -1)
        text("e-[a file of the host was opened]\r\n");
    text("m-ready\r\n");
    for (;;) {
        int32_t first = request(0x07, 0);
        while (request(0x07, 0) != '%')
            ;
        char c = (char)first;
        text("m-name-dut-[");
        request(0x03, &c);
        text(" over semihosting]\r\nm-ready\r\n");
        if (first == 'x')
            __asm__ volatile("bkpt 0");
    }
}

__attribute__((section(".vectors"), used)) const uint32_t vectors[2] = {0x20010000, (uint32_t)&reset};
