/* SPDX-License-Identifier: MIT-0
 * Registers of the STM32L4+ that its drivers write. Source: ST RM0432, the chapter named with each block. */
#ifndef EMULAB_STM32L4_H
#define EMULAB_STM32L4_H

#include "port.h"

#define R EMULAB_REGISTER
/* chapter 6: reset and clock control */
#define RCC_CR 0x40021000
#define RCC_CFGR 0x40021008
#define RCC_AHB1ENR 0x40021048
#define RCC_AHB2ENR 0x4002104C
#define RCC_APB1ENR1 0x40021058
#define RCC_APB2ENR 0x40021060
#define RCC_CCIPR 0x40021088
#define RCC_BDCR 0x40021090
/* chapters 3 and 5: flash, power; system control register of the core */
#define FLASH_ACR 0x40022000
#define PWR_CR1 0x40007000
#define SCB_SCR 0xE000ED10
/* chapters 8, 9 and 16: pins, their interrupts */
#define GPIO(port) (0x48000000u + 0x400u * (uint32_t)((port) - 'A'))
#define SYSCFG_EXTICR(line) (0x40010008u + 4u * ((line) / 4u))
#define EXTI_IMR1 0x40010400
#define EXTI_RTSR1 0x40010408
#define EXTI_PR1 0x40010414
/* chapters 11 and 12: DMA1, request multiplexer */
#define DMA1_ISR 0x40020000
#define DMA1_IFCR 0x40020004
#define DMA1_CCR(channel) (0x40020008u + 20u * ((channel) - 1u))
#define DMA1_CNDTR(channel) (DMA1_CCR(channel) + 4u)
#define DMA1_CPAR(channel) (DMA1_CCR(channel) + 8u)
#define DMA1_CMAR(channel) (DMA1_CCR(channel) + 12u)
#define DMAMUX(channel) (0x40020800u + 4u * ((channel) - 1u))
#define REQUEST_ADC1 5u
#define REQUEST_SPI1_RX 10u
#define REQUEST_SPI1_TX 11u
#define REQUEST_I2C1_RX 16u
#define REQUEST_I2C1_TX 17u
/* table of vectors, chapter 15.3 */
#define IRQ_EXTI0 6u
#define IRQ_DMA1_CHANNEL1 11u
#define IRQ_LPTIM1 65u

/* DMA control: enable, interrupt at the end, memory to peripheral, next memory address each time, 16-bit accesses */
#define DMA_EN 1u
#define DMA_TCIE 2u
#define DMA_DIR 0x10u
#define DMA_MINC 0x80u
#define DMA_HALFWORDS 0x500u

/* pins to an alternate function */
void stm32l4_alternate(char port, uint32_t pin, uint32_t function);
/* channel 1 of DMA1 from a peripheral's register to memory; complete sets stm32l4_dma_done */
extern volatile uint32_t stm32l4_dma_done;
void stm32l4_dma_init(void);
void stm32l4_dma_receive(uint32_t request, uint32_t peripheral, void *to, uint32_t n, uint32_t size);
void stm32l4_dma_send(uint32_t request, uint32_t peripheral, const void *from, uint32_t n);
void stm32l4_dma_stop(void);

#endif
