/* SPDX-License-Identifier: MIT-0
 * Nordic UARTE: EasyDMA from and to RAM, reception byte by byte. Source: nRF52840 PS v1.7, chapter 6.34. */
#include "port.h"

#define REGISTER(offset) EMULAB_REGISTER(EMULAB_UART_BASE + (offset))
#define TASKS_STARTRX REGISTER(0x000)
#define TASKS_STARTTX REGISTER(0x008)
#define EVENTS_ENDRX REGISTER(0x110)
#define EVENTS_ENDTX REGISTER(0x120)
#define EVENTS_ERROR REGISTER(0x124)
#define SHORTS REGISTER(0x200)
#define INTENSET REGISTER(0x304)
#define ERRORSRC REGISTER(0x480)
#define ENABLE REGISTER(0x500)
#define PSEL_RTS REGISTER(0x508)
#define PSEL_TXD REGISTER(0x50C)
#define PSEL_CTS REGISTER(0x510)
#define PSEL_RXD REGISTER(0x514)
#define BAUDRATE REGISTER(0x524)
#define RXD_PTR REGISTER(0x534)
#define RXD_MAXCNT REGISTER(0x538)
#define TXD_PTR REGISTER(0x544)
#define TXD_MAXCNT REGISTER(0x548)
#define CONFIG REGISTER(0x56C)

#define DISCONNECTED 0xFFFFFFFFu
#define ENDRX_STARTRX 0x20u
#define ENDRX_INTERRUPT 0x10u

static volatile uint8_t received;
static volatile char sent[32]; /* EasyDMA reads RAM only, and texts lie in flash */

/* Register values of PS table 6.34.9; any other rate by the formula behind them. */
static uint32_t baud_register(void)
{
    switch (EMULAB_UART_BAUD) {
    case 9600:
        return 0x00275000;
    case 115200:
        return 0x01D60000;
    case 921600:
        return 0x0F000000;
    default:
        return (uint32_t)(((uint64_t)EMULAB_UART_BAUD << 32) / 16000000u + 0x800u) & 0xFFFFF000u;
    }
}

void emulab_uart_init(void)
{
    PSEL_RTS = PSEL_CTS = DISCONNECTED;
    PSEL_TXD = EMULAB_UART_TX_PIN;
    PSEL_RXD = EMULAB_UART_RX_PIN;
    BAUDRATE = baud_register();
    CONFIG = 0; /* no parity, no flow control, one stop bit */
    ENABLE = 8;
    RXD_PTR = (uint32_t)(uintptr_t)&received;
    RXD_MAXCNT = 1;
    SHORTS = ENDRX_STARTRX;
    EVENTS_ENDRX = 0;
#ifdef EMULAB_UART_IRQ
    INTENSET = ENDRX_INTERRUPT;
#endif
    TASKS_STARTRX = 1;
}

void emulab_uart_write(const char *data, size_t size)
{
    while (size) {
        size_t part = size < sizeof sent ? size : sizeof sent;
        for (size_t i = 0; i < part; i++)
            sent[i] = data[i];
        TXD_PTR = (uint32_t)(uintptr_t)sent;
        TXD_MAXCNT = (uint32_t)part;
        EVENTS_ENDTX = 0;
        TASKS_STARTTX = 1;
        while (!EVENTS_ENDTX)
            ;
        data += part;
        size -= part;
    }
}

void emulab_uart_service(void)
{
    if (EVENTS_ERROR) {
        EVENTS_ERROR = 0;
        ERRORSRC = ERRORSRC;
    }
    if (EVENTS_ENDRX) {
        EVENTS_ENDRX = 0;
        (void)EVENTS_ENDRX; /* the write must arrive before the handler ends (PS 4.2.1) */
        emulab_console_received(received);
    }
}
