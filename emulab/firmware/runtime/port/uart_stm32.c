/* SPDX-License-Identifier: MIT-0
 * STM32 USART and LPUART with ISR, ICR, RDR and TDR (L4, U5, G0, F7, H7). Source: ST RM0432, chapters 48 and 49. */
#include "port.h"

#define CR1 (EMULAB_UART_BASE + 0x00)
#define CR2 (EMULAB_UART_BASE + 0x04)
#define CR3 (EMULAB_UART_BASE + 0x08)
#define BRR (EMULAB_UART_BASE + 0x0C)
#define ISR (EMULAB_UART_BASE + 0x1C)
#define ICR (EMULAB_UART_BASE + 0x20)
#define RDR (EMULAB_UART_BASE + 0x24)
#define TDR (EMULAB_UART_BASE + 0x28)

#define CR1_UE 0x01u
#define CR1_RE 0x04u
#define CR1_TE 0x08u
#define CR1_RXNEIE 0x20u
#define ISR_RXNE 0x20u
#define ISR_TC 0x40u
#define ISR_TXE 0x80u
#define ICR_ERRORS 0x0Fu /* parity, framing, noise, overrun */

void emulab_uart_init(void)
{
    EMULAB_REGISTER(CR1) = 0;
    EMULAB_REGISTER(CR2) = 0;
    EMULAB_REGISTER(CR3) = 0;
#ifdef EMULAB_UART_LOW_POWER
    /* LPUART divides 256 times its clock (RM0432 49.4.4) */
    EMULAB_REGISTER(BRR) = (uint32_t)((256ull * EMULAB_UART_CLOCK_HZ + EMULAB_UART_BAUD / 2) / EMULAB_UART_BAUD);
#else
    EMULAB_REGISTER(BRR) = (EMULAB_UART_CLOCK_HZ + EMULAB_UART_BAUD / 2) / EMULAB_UART_BAUD;
#endif
    EMULAB_REGISTER(CR1) = CR1_RE | CR1_TE | CR1_UE;
#ifdef EMULAB_UART_IRQ
    EMULAB_REGISTER(CR1) = CR1_RXNEIE | CR1_RE | CR1_TE | CR1_UE;
#endif
}

void emulab_uart_write(const char *data, size_t size)
{
    for (; size; size--) {
        while (!(EMULAB_REGISTER(ISR) & ISR_TXE))
            ;
        EMULAB_REGISTER(TDR) = (uint8_t)*data++;
    }
    while (!(EMULAB_REGISTER(ISR) & ISR_TC))
        ;
}

void emulab_uart_service(void)
{
    uint32_t status = EMULAB_REGISTER(ISR);
    if (status & ICR_ERRORS)
        EMULAB_REGISTER(ICR) = ICR_ERRORS; /* an overrun left standing would raise the interrupt for ever */
    if (status & ISR_RXNE)
        emulab_console_received((uint8_t)EMULAB_REGISTER(RDR));
}
