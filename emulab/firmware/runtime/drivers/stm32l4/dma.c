/* SPDX-License-Identifier: MIT-0
 * STM32L4+: DMA1 channel 1 receives, channel 2 sends. Source: ST RM0432 chapters 11 and 12. */
#include "stm32l4.h"

#include "emulab_drivers.h"

volatile uint32_t stm32l4_dma_done;

static void channel_interrupt(void)
{
    R(DMA1_IFCR) = 0xFu;
    stm32l4_dma_done = 1;
}

void stm32l4_dma_init(void)
{
    R(RCC_AHB1ENR) |= 1u | 1u << 2; /* DMA1, DMAMUX1 */
    emulab_interrupt_attach(IRQ_DMA1_CHANNEL1, channel_interrupt);
}

void stm32l4_dma_receive(uint32_t request, uint32_t peripheral, void *to, uint32_t n, uint32_t size)
{
    stm32l4_dma_done = 0;
    R(DMAMUX(1)) = request;
    R(DMA1_CCR(1)) = 0;
    R(DMA1_CPAR(1)) = peripheral;
    R(DMA1_CMAR(1)) = (uint32_t)(uintptr_t)to;
    R(DMA1_CNDTR(1)) = n;
    R(DMA1_CCR(1)) = DMA_EN | DMA_TCIE | DMA_MINC | (size == 2 ? DMA_HALFWORDS : 0u);
}

void stm32l4_dma_send(uint32_t request, uint32_t peripheral, const void *from, uint32_t n)
{
    R(DMAMUX(2)) = request;
    R(DMA1_CCR(2)) = 0;
    R(DMA1_CPAR(2)) = peripheral;
    R(DMA1_CMAR(2)) = (uint32_t)(uintptr_t)from;
    R(DMA1_CNDTR(2)) = n;
    R(DMA1_CCR(2)) = DMA_EN | DMA_DIR | DMA_MINC;
}

void stm32l4_dma_stop(void)
{
    R(DMA1_CCR(1)) = 0;
    R(DMA1_CCR(2)) = 0;
}
