/* SPDX-License-Identifier: MIT-0
 * Nordic UART without EasyDMA (nRF51). Source: nRF51 Series Reference Manual v3.0, chapter 29. */
#include "port.h"

#define REGISTER(offset) EMULAB_REGISTER(EMULAB_UART_BASE + (offset))
#define TASKS_STARTRX REGISTER(0x000)
#define TASKS_STARTTX REGISTER(0x008)
#define EVENTS_RXDRDY REGISTER(0x108)
#define EVENTS_TXDRDY REGISTER(0x11C)
#define INTENSET REGISTER(0x304)
#define ENABLE REGISTER(0x500)
#define PSELTXD REGISTER(0x50C)
#define PSELRXD REGISTER(0x514)
#define RXD REGISTER(0x518)
#define TXD REGISTER(0x51C)
#define BAUDRATE REGISTER(0x524)

#define RXDRDY_INTERRUPT 0x4u

void emulab_uart_init(void)
{
    PSELTXD = EMULAB_UART_TX_PIN;
    PSELRXD = EMULAB_UART_RX_PIN;
    /* 115200 is 0x01D7E000 (table 29.9); others by the formula behind the table */
    BAUDRATE = EMULAB_UART_BAUD == 115200u
                   ? 0x01D7E000u
                   : ((uint32_t)(((uint64_t)EMULAB_UART_BAUD << 32) / EMULAB_UART_CLOCK_HZ) + 0x800u) & 0xFFFFF000u;
    ENABLE = 4;
    EVENTS_RXDRDY = 0;
#ifdef EMULAB_UART_IRQ
    INTENSET = RXDRDY_INTERRUPT;
#endif
    TASKS_STARTTX = 1;
    TASKS_STARTRX = 1;
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        EVENTS_TXDRDY = 0;
        TXD = (uint8_t)*data++;
        while (!EVENTS_TXDRDY)
            ;
    }
}

/* The event is cleared before the byte is taken: the next byte in the FIFO raises it again. */
void emulab_uart_service(void)
{
    while (EVENTS_RXDRDY) {
        EVENTS_RXDRDY = 0;
        emulab_console_received((uint8_t)RXD);
    }
}
