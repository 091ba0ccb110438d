/* SPDX-License-Identifier: MIT-0
 * OpenTitan UART. Source: OpenTitan documentation, UART register table. */
#include "port.h"

#define INTR_STATE (EMULAB_UART_BASE + 0x00)
#define INTR_ENABLE (EMULAB_UART_BASE + 0x04)
#define CTRL (EMULAB_UART_BASE + 0x10)
#define STATUS (EMULAB_UART_BASE + 0x14)
#define RDATA (EMULAB_UART_BASE + 0x18)
#define WDATA (EMULAB_UART_BASE + 0x1C)
#define FIFO_CTRL (EMULAB_UART_BASE + 0x20)

#define STATUS_TX_FULL 0x01u
#define STATUS_TX_IDLE 0x08u
#define STATUS_RX_EMPTY 0x20u
#define RX_WATERMARK 0x02u

void emulab_uart_init(void)
{
    uint32_t rate = (uint32_t)(((uint64_t)EMULAB_UART_BAUD << 20) / EMULAB_UART_CLOCK_HZ); /* NCO: baud * 2^20 / clock */
    EMULAB_REGISTER(FIFO_CTRL) = 0x03;                                                     /* empty both FIFOs */
    EMULAB_REGISTER(CTRL) = rate << 16 | 0x03;                                             /* transmit and receive */
#ifdef EMULAB_UART_IRQ
    EMULAB_REGISTER(INTR_ENABLE) = RX_WATERMARK;
#endif
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        while (EMULAB_REGISTER(STATUS) & STATUS_TX_FULL)
            ;
        EMULAB_REGISTER(WDATA) = (uint8_t)*data++;
    }
    while (!(EMULAB_REGISTER(STATUS) & STATUS_TX_IDLE))
        ;
}

void emulab_uart_service(void)
{
    while (!(EMULAB_REGISTER(STATUS) & STATUS_RX_EMPTY))
        emulab_console_received((uint8_t)EMULAB_REGISTER(RDATA));
    EMULAB_REGISTER(INTR_STATE) = RX_WATERMARK;
}
