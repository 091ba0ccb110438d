/* A vibration node without a library: each wake reads 512 samples through the sensor's FIFO and DMA, then sleeps deep.
 * STM32L4R5 at reset clock (MSI 4 MHz), LIS2DH12 on SPI1, chip select PE0, interrupt 1 on PE1. */
#include <stdint.h>

#define REG(a) (*(volatile uint32_t *)(a))
#define BURST 32
#define BYTES (1 + BURST * 6)

volatile uint32_t cycles_done, alarms, last_power, bursts;
int16_t samples[512 * 3];
static uint8_t out[BYTES], in[BYTES];
static volatile uint32_t watermark, received;

void exti1(void) {
    REG(0x40010414) = 2; /* EXTI PR1 */
    watermark = 1;
}

void dma1_channel1(void) {
    REG(0x40020004) = 0xF; /* DMA1 IFCR */
    received = 1;
}

static void wait_for(volatile uint32_t *flag) {
    for (;;) {
        __asm__ volatile("cpsid i");
        if (*flag)
            break;
        __asm__ volatile("wfi");
        __asm__ volatile("cpsie i");
    }
    *flag = 0;
    __asm__ volatile("cpsie i");
}

static void deep(int on) { REG(0xE000ED10) = on ? 4 : 0; }

static void transfer(uint32_t n) {
    REG(0x48001018) = 1u << 16; /* PE0 low */
    REG(0x40013004) = 0x1701;   /* SPI1 CR2: 8 bits, FRXTH, RXDMAEN */
    REG(0x40020010) = 0x4001300C, REG(0x40020014) = (uint32_t)in, REG(0x4002000C) = n, REG(0x40020008) = 0x83;
    REG(0x40020024) = 0x4001300C, REG(0x40020028) = (uint32_t)out, REG(0x40020020) = n, REG(0x4002001C) = 0x91;
    REG(0x40013004) = 0x1703; /* TXDMAEN: go */
    deep(0);
    wait_for(&received);
    REG(0x40020008) = 0, REG(0x4002001C) = 0, REG(0x40013004) = 0x1700;
    REG(0x48001018) = 1; /* PE0 high */
}

static void put(uint8_t address, uint8_t value) {
    out[0] = address, out[1] = value;
    transfer(2);
}

static void burst(int16_t *to) {
    wait_for(&watermark);
    out[0] = 0xC0 | 0x28;
    for (int i = 1; i < BYTES; i++)
        out[i] = 0;
    transfer(BYTES);
    bursts++;
    for (int i = 0; to && i < BURST * 3; i++)
        to[i] = (int16_t)(in[1 + 2 * i] | in[2 + 2 * i] << 8);
}

int main(void) {
    REG(0x4002104C) |= 1 << 4;                 /* GPIOE */
    REG(0x40021048) |= 5;                      /* DMA1, DMAMUX1 */
    REG(0x40021060) |= 1 | 1 << 12;            /* SYSCFG, SPI1 */
    REG(0x40021058) |= 1 << 28;                /* PWR */
    REG(0x40007000) = (REG(0x40007000) & ~7u) | 2; /* Stop 2 */
    REG(0x48001018) = 1;
    REG(0x48001000) = (REG(0x48001000) & ~0xFu) | 1; /* PE0 output, PE1 input */
    REG(0x40010008) = 0x40;                    /* EXTI1 from port E */
    REG(0x40010408) |= 2, REG(0x40010400) |= 2; /* rising, unmasked */
    REG(0x40020800) = 10, REG(0x40020804) = 11; /* DMAMUX: SPI1_RX, SPI1_TX */
    REG(0x40013004) = 0x1700, REG(0x40013000) = 0x344; /* master, software select, on */
    REG(0xE000E100) = 1 << 7 | 1 << 11;        /* EXTI1, DMA1 channel 1 */
    put(0x24, 0x40), put(0x2E, 0x80 | 31), put(0x22, 0x04);
    for (;;) {
        put(0x2E, 0), put(0x2E, 0x80 | 31), put(0x20, 0x97); /* 1344 Hz */
        watermark = 0;
        for (int i = 0; i < 16; i++)
            burst(samples + i * BURST * 3);
        int64_t sum = 0, mean = 0;
        for (int i = 0; i < 512; i++)
            mean += samples[3 * i] >> 4;
        mean /= 512;
        for (int i = 0; i < 512; i++) {
            int32_t x = (samples[3 * i] >> 4) - (int32_t)mean;
            sum += (int64_t)x * x;
        }
        last_power = (uint32_t)(sum / 512);
        alarms += last_power > 10000;
        put(0x2E, 0), put(0x2E, 0x80 | 31), put(0x20, 0x27); /* 10 Hz: the FIFO is the timer, 3.2 s a time */
        watermark = 0;
        cycles_done++;
        for (int i = 0; i < 3; i++) {
            deep(1);
            burst(0);
        }
    }
}

/* what a compiler may call */
void *memset(void *to, int value, unsigned n) {
    for (uint8_t *p = to; n--;)
        *p++ = (uint8_t)value;
    return to;
}

__attribute__((naked)) void reset(void) { __asm__ volatile("bl main\nb ."); }
static void stuck(void) {
    for (;;)
        ;
}
__attribute__((section(".vectors"), used)) static void (*const vectors[16 + 96])(void) = {
    (void (*)(void))0x20010000, reset, stuck, stuck, stuck, stuck, stuck, 0, 0, 0, 0, stuck, 0, 0, stuck, stuck,
    [16 + 7] = exti1, [16 + 11] = dma1_channel1,
};
