/* SPDX-License-Identifier: MIT-0
 * STM32L4+: I2C1 on PB8, PB9 at 400 kbit/s from the 16 MHz oscillator, data by DMA. Source: ST RM0432 chapter 47. */
#include "emulab_drivers.h"
#include "stm32l4.h"

#define I2C1_CR1 0x40005400
#define I2C1_CR2 0x40005404
#define I2C1_TIMINGR 0x40005410
#define I2C1_ISR 0x40005418
#define I2C1_ICR 0x4000541C
#define I2C1_RXDR 0x40005424
#define I2C1_TXDR 0x40005428
#define PE 1u
#define TXDMAEN (1u << 14)
#define RXDMAEN (1u << 15)
#define READ (1u << 10)
#define START (1u << 13)
#define AUTOEND (1u << 25)
#define NACKF 0x10u
#define STOPF 0x20u
#define TC 0x40u

void emulab_i2c_init(void)
{
    R(RCC_APB1ENR1) |= 1u << 21;
    R(RCC_CCIPR) = (R(RCC_CCIPR) & ~(3u << 12)) | 2u << 12; /* I2C1 from HSI16 */
    for (uint32_t pin = 8; pin <= 9; pin++) {
        stm32l4_alternate('B', pin, 4);
        R(GPIO('B') + 4) |= 1u << pin; /* open drain */
    }
    R(I2C1_TIMINGR) = 1u << 28 | 3u << 20 | 2u << 16 | 3u << 8 | 9u; /* table of examples for 16 MHz, 400 kHz */
    stm32l4_dma_init();
}

/* Wait for one of *flags*, or for the end that a missing acknowledge brings. */
static uint32_t wait(uint32_t flags)
{
    uint32_t status;
    while (!((status = R(I2C1_ISR)) & (flags | STOPF)))
        ;
    return status;
}

int emulab_i2c_transfer(uint8_t address, const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n)
{
    int result = 0;
    if (out_n > 255 || in_n > 255)
        return -1;
    R(RCC_CR) |= 1u << 8;
    while (!(R(RCC_CR) & 1u << 10))
        ;
    R(I2C1_CR1) = PE | TXDMAEN | RXDMAEN;
    if (out_n || !in_n) {
        if (out_n)
            stm32l4_dma_send(REQUEST_I2C1_TX, I2C1_TXDR, out, out_n);
        R(I2C1_CR2) = (uint32_t)address << 1 | out_n << 16 | START | (in_n ? 0 : AUTOEND);
        result = wait(in_n ? TC : 0) & NACKF ? -1 : 0;
    }
    if (in_n && result == 0) {
        stm32l4_dma_receive(REQUEST_I2C1_RX, I2C1_RXDR, in, in_n, 1);
        R(I2C1_CR2) = (uint32_t)address << 1 | in_n << 16 | READ | START | AUTOEND;
        result = wait(0) & NACKF ? -1 : 0;
        if (result == 0)
            emulab_wait(&stm32l4_dma_done, 0);
    }
    R(I2C1_ICR) = NACKF | STOPF;
    stm32l4_dma_stop();
    R(I2C1_CR1) = 0;
    R(RCC_CR) &= ~(1u << 8);
    return result;
}
