/* SPDX-License-Identifier: MIT-0
 * 16550-compatible UART, byte-wide registers. Source: National PC16550D data sheet, table II. */
#include "port.h"

#define REGISTER(number) (*(volatile uint8_t *)(uintptr_t)(EMULAB_UART_BASE + (number)))
#define DATA REGISTER(0)
#define IER REGISTER(1)
#define FCR REGISTER(2)
#define LCR REGISTER(3)
#define LSR REGISTER(5)

#define DIVISOR ((EMULAB_UART_CLOCK_HZ + 8 * EMULAB_UART_BAUD) / (16 * EMULAB_UART_BAUD))
#define LSR_READY 0x01
#define LSR_IDLE 0x40 /* holding and shift register empty */
#define LSR_ROOM 0x20

void emulab_uart_init(void)
{
    IER = 0;
    LCR = 0x83; /* divisor latch, 8 bits */
    DATA = (uint8_t)DIVISOR;
    IER = (uint8_t)(DIVISOR >> 8);
    LCR = 0x03;
    FCR = 0x07; /* FIFOs on and emptied */
#ifdef EMULAB_UART_IRQ
    IER = 0x01;
#endif
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        while (!(LSR & LSR_ROOM))
            ;
        DATA = (uint8_t)*data++;
    }
    while (!(LSR & LSR_IDLE))
        ;
}

void emulab_uart_service(void)
{
    while (LSR & LSR_READY)
        emulab_console_received(DATA);
}
