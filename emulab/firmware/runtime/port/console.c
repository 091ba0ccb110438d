/* SPDX-License-Identifier: MIT-0
 * The console: received bytes in a ring filled by the UART interrupt, sleep while it is empty, blocking output. */
#include "port.h"

#ifdef EMULAB_STREAM_AUDIO
#include "stream.h"
#else /* nothing to do beside the console */
static int stream_service(void) { return 0; }
static int stream_due(void) { return 0; }
#endif

#define RING 256u /* more than two commands of the host's 80 bytes */

static volatile uint8_t ring[RING];
static volatile uint32_t head, tail;

void emulab_console_init(void)
{
    emulab_uart_init();
}

/* A byte that finds the ring full is lost: the host waits for an answer before it sends more than a command. */
void emulab_console_received(uint8_t byte)
{
    uint32_t next = (head + 1) % RING;
    if (next == tail)
        return;
    ring[head] = byte;
    head = next;
}

uint8_t emulab_console_read(void)
{
    while (head == tail) {
        if (stream_service())
            continue;
#ifdef EMULAB_UART_IRQ
        /* checked with interrupts off, so that the byte (or the samples) cannot slip in between the check and the sleep */
        uint32_t state = emulab_core_lock();
        if (head == tail && !stream_due())
            emulab_core_sleep();
        emulab_core_unlock(state);
#else
        emulab_uart_service();
#endif
    }
    uint8_t byte = ring[tail];
    tail = (tail + 1) % RING;
    return byte;
}

void emulab_console_write(const char *data, size_t size)
{
    emulab_uart_write(data, size);
}

static void write_text(const char *text)
{
    size_t size = 0;
    while (text[size])
        size++;
    emulab_uart_write(text, size);
}

static void write_hex(uint32_t value)
{
    char text[8];
    for (int i = 0; i < 8; i++)
        text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    emulab_uart_write(text, 8);
}

/* Say what happened and stop; a debugger or emulator finds cause and address in the registers of this call. */
__attribute__((noinline)) _Noreturn void emulab_fault(uint32_t cause, uint32_t address)
{
    write_text("\r\ne-[Fault: cause 0x");
    write_hex(cause);
    write_text(" at 0x");
    write_hex(address);
    write_text("]\r\n");
    for (;;)
        emulab_core_lock(), emulab_core_sleep();
}
