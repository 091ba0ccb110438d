/* SPDX-License-Identifier: MIT-0
 * SiFive UART. Source: FE310-G002 Manual v1p5, chapter 18. */
#include "port.h"

#define TXDATA (EMULAB_UART_BASE + 0x00)
#define RXDATA (EMULAB_UART_BASE + 0x04)
#define TXCTRL (EMULAB_UART_BASE + 0x08)
#define RXCTRL (EMULAB_UART_BASE + 0x0C)
#define IE (EMULAB_UART_BASE + 0x10)
#define IP (EMULAB_UART_BASE + 0x14)
#define DIV (EMULAB_UART_BASE + 0x18)

#define FULL_OR_EMPTY 0x80000000u
#define TX_WATERMARK_1 (1u << 16)

void emulab_uart_init(void)
{
    EMULAB_REGISTER(DIV) = (EMULAB_UART_CLOCK_HZ + EMULAB_UART_BAUD / 2) / EMULAB_UART_BAUD - 1;
    EMULAB_REGISTER(TXCTRL) = TX_WATERMARK_1 | 1;
    EMULAB_REGISTER(RXCTRL) = 1; /* watermark 0: interrupt while there is anything */
#ifdef EMULAB_UART_IRQ
    EMULAB_REGISTER(IE) = 2;
#endif
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        while (EMULAB_REGISTER(TXDATA) & FULL_OR_EMPTY)
            ;
        EMULAB_REGISTER(TXDATA) = (uint8_t)*data++;
    }
    while (!(EMULAB_REGISTER(IP) & 1)) /* fewer than one left in the FIFO */
        ;
}

void emulab_uart_service(void)
{
    for (;;) {
        uint32_t data = EMULAB_REGISTER(RXDATA);
        if (data & FULL_OR_EMPTY)
            return;
        emulab_console_received((uint8_t)data);
    }
}
