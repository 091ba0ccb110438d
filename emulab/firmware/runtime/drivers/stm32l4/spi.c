/* SPDX-License-Identifier: MIT-0
 * STM32L4+: SPI1 as master on PA5, PA6, PA7, both directions by DMA. Source: ST RM0432 chapter 49. */
#include "emulab_drivers.h"
#include "stm32l4.h"

#define SPI1_CR1 0x40013000
#define SPI1_CR2 0x40013004
#define SPI1_SR 0x40013008
#define SPI1_DR 0x4001300C
#define CR2_BYTES 0x1700u /* 8 bits, RXNE at 8 bits */
#define CR1_ON 0x344u     /* master, software chip select, half the bus clock, on */

void emulab_spi_init(void)
{
    R(RCC_APB2ENR) |= 1u << 12;
    for (uint32_t pin = 5; pin <= 7; pin++)
        stm32l4_alternate('A', pin, 5);
    stm32l4_dma_init();
    R(SPI1_CR2) = CR2_BYTES;
}

/* Order of the enables: 49.4.9, communication using DMA. The SPI is off between transfers. */
void emulab_spi_transfer(const uint8_t *out, uint8_t *in, uint32_t n)
{
    R(SPI1_CR2) = CR2_BYTES | 1u;
    stm32l4_dma_receive(REQUEST_SPI1_RX, SPI1_DR, in, n, 1);
    stm32l4_dma_send(REQUEST_SPI1_TX, SPI1_DR, out, n);
    R(SPI1_CR2) = CR2_BYTES | 3u;
    R(SPI1_CR1) = CR1_ON;
    emulab_wait(&stm32l4_dma_done, 0);
    while (R(SPI1_SR) & 0x80u)
        ;
    stm32l4_dma_stop();
    R(SPI1_CR1) = CR1_ON & ~0x40u;
    R(SPI1_CR2) = CR2_BYTES;
}
