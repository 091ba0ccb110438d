/* SPDX-License-Identifier: MIT-0
 * STM32L4+: USART3 on PD8, PD9 at 115200 baud from the 16 MHz oscillator, whatever the core's clock is. It is on only
 * while it is used. Source: ST RM0432 chapters 6.4.28 and 48. */
#include "emulab_drivers.h"
#include "stm32l4.h"

#define USART3_CR1 0x40004800
#define USART3_BRR 0x4000480C
#define USART3_ISR 0x4000481C
#define USART3_RDR 0x40004824
#define USART3_TDR 0x40004828
#define UE 1u
#define RE 4u
#define TE 8u
#define FIFOEN (1u << 29)

#define SILENCE 200000u /* turns of the waiting loop: a quarter of a second at 4 MHz */

void emulab_modem_init(void)
{
    R(RCC_APB1ENR1) |= 1u << 18;
    R(RCC_CCIPR) = (R(RCC_CCIPR) & ~(3u << 4)) | 2u << 4; /* USART3 from HSI16 */
    stm32l4_alternate('D', 8, 7);
    stm32l4_alternate('D', 9, 7);
}

uint32_t emulab_modem_exchange(const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n)
{
    R(RCC_CR) |= 1u << 8;
    while (!(R(RCC_CR) & 1u << 10))
        ;
    R(USART3_BRR) = (16000000u + 57600u) / 115200u;
    R(USART3_CR1) = FIFOEN | RE | TE | UE;
    for (; out_n; out_n--) {
        while (!(R(USART3_ISR) & 0x80u))
            ;
        R(USART3_TDR) = *out++;
    }
    uint32_t got = 0;
    for (uint32_t turns = SILENCE; got < in_n && turns; turns--)
        if (R(USART3_ISR) & 0x20u)
            in[got++] = (uint8_t)R(USART3_RDR), turns = SILENCE;
    while (!(R(USART3_ISR) & 0x40u))
        ;
    R(USART3_CR1) = 0;
    R(RCC_CR) &= ~(1u << 8);
    return got;
}
