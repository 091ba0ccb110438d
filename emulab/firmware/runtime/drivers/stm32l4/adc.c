/* SPDX-License-Identifier: MIT-0
 * STM32L4+: ADC1, one channel, continuous conversions by DMA; in deep power-down between uses. Source: ST RM0432 chapter 21. */
#include "emulab_drivers.h"
#include "stm32l4.h"

#define ADC_ISR 0x50040000
#define ADC_CR 0x50040008
#define ADC_CFGR 0x5004000C
#define ADC_SMPR(channel) (0x50040014u + 4u * ((channel) / 10u))
#define ADC_SQR1 0x50040030
#define ADC_DR 0x50040040
#define ADC_CCR 0x50040308
#define ADEN 1u
#define ADDIS 2u
#define ADSTART 4u
#define ADSTP 16u
#define ADVREGEN (1u << 28)
#define DEEPPWD (1u << 29)
#define ADCAL (1u << 31)

void emulab_adc_init(void)
{
    R(RCC_AHB2ENR) |= 1u << 13;
    R(ADC_CCR) = 3u << 16; /* AHB clock / 4 */
    stm32l4_dma_init();
}

void emulab_adc_sample(uint32_t channel, uint16_t *to, uint32_t n)
{
    R(ADC_CR) = 0; /* leave deep power-down */
    R(ADC_CR) = ADVREGEN;
    for (volatile uint32_t turns = 20u * (EMULAB_CORE_CLOCK_HZ / 1000000u) / 4u; turns; turns--)
        ; /* 20 us for the regulator (DS12023), at any clock */
    R(ADC_CR) = ADVREGEN | ADCAL;
    while (R(ADC_CR) & ADCAL)
        ;
    R(ADC_ISR) = 0x1Fu;
    R(ADC_CR) = ADVREGEN | ADEN;
    while (!(R(ADC_ISR) & 1u))
        ;
    R(ADC_SMPR(channel)) = 7u << 3 * (channel % 10);
    R(ADC_SQR1) = channel << 6;
    R(ADC_CFGR) = 1u << 31 | 1u << 13 | 1u << 12 | 1u; /* continuous, overwrite, DMA */
    stm32l4_dma_receive(REQUEST_ADC1, ADC_DR, to, n, 2);
    R(ADC_CR) = ADVREGEN | ADEN | ADSTART;
    emulab_wait(&stm32l4_dma_done, 0);
    R(ADC_CR) = ADVREGEN | ADEN | ADSTP;
    while (R(ADC_CR) & ADSTP)
        ;
    R(ADC_CR) = ADVREGEN | ADEN | ADDIS;
    while (R(ADC_CR) & ADEN)
        ;
    R(ADC_CR) = DEEPPWD;
    stm32l4_dma_stop();
}
