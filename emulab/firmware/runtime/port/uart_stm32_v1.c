/* SPDX-License-Identifier: MIT-0
 * STM32 USART with SR and DR (F1, F2, F4, L1). Source: ST RM0090, chapter 30.6. */
#include "port.h"

#define SR (EMULAB_UART_BASE + 0x00)
#define DR (EMULAB_UART_BASE + 0x04)
#define BRR (EMULAB_UART_BASE + 0x08)
#define CR1 (EMULAB_UART_BASE + 0x0C)

#define CR1_RE 0x0004u
#define CR1_TE 0x0008u
#define CR1_RXNEIE 0x0020u
#define CR1_UE 0x2000u
#define SR_RXNE 0x20u
#define SR_TC 0x40u
#define SR_TXE 0x80u

void emulab_uart_init(void)
{
    EMULAB_REGISTER(BRR) = (EMULAB_UART_CLOCK_HZ + EMULAB_UART_BAUD / 2) / EMULAB_UART_BAUD;
    EMULAB_REGISTER(CR1) = CR1_RE | CR1_TE | CR1_UE;
#ifdef EMULAB_UART_IRQ
    EMULAB_REGISTER(CR1) = CR1_RXNEIE | CR1_RE | CR1_TE | CR1_UE;
#endif
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        while (!(EMULAB_REGISTER(SR) & SR_TXE))
            ;
        EMULAB_REGISTER(DR) = (uint8_t)*data++;
    }
    while (!(EMULAB_REGISTER(SR) & SR_TC))
        ;
}

/* Reading SR, then DR, also clears an overrun. */
void emulab_uart_service(void)
{
    if (EMULAB_REGISTER(SR) & (SR_RXNE | 0x08u))
        emulab_console_received((uint8_t)EMULAB_REGISTER(DR));
}
