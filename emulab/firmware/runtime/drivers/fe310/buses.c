/* SPDX-License-Identifier: MIT-0
 * FE310-G002: pins, SPI1 on pins 2 to 5, I2C on pins 12 and 13: there is no DMA. A part's chip select is a
 * pin. Source: SiFive FE310-G002 manual, chapters 17, 19, 20. */
#include "emulab_drivers.h"
#include "port.h"

#define R EMULAB_REGISTER
#define GPIO_OUTPUT_EN 0x10012008
#define GPIO_OUTPUT_VAL 0x1001200C
#define GPIO_IOF_EN 0x10012038
#define GPIO_IOF_SEL 0x1001203C
#define SPI1 0x10024000
#define I2C 0x10016000
#define IRQ_SPI1 6u

void emulab_pin_write(char port, uint32_t pin, int level)
{
    (void)port; /* there is one */
    if (level)
        R(GPIO_OUTPUT_VAL) |= 1u << pin;
    else
        R(GPIO_OUTPUT_VAL) &= ~(1u << pin);
}

void emulab_pin_output(char port, uint32_t pin, int level)
{
    emulab_pin_write(port, pin, level);
    R(GPIO_IOF_EN) &= ~(1u << pin);
    R(GPIO_OUTPUT_EN) |= 1u << pin;
}

static volatile uint32_t spi_full;

static void spi_interrupt(void)
{
    R(SPI1 + 0x70) = 0;
    spi_full = 1;
}

void emulab_spi_init(void)
{
    R(GPIO_IOF_SEL) &= ~(7u << 3);
    R(GPIO_IOF_EN) |= 7u << 3;   /* SPI1: DQ0, DQ1, SCK */
    R(SPI1 + 0x18) = 3;          /* CSMODE off */
    R(SPI1 + 0x00) = EMULAB_CORE_CLOCK_HZ / 16000000u; /* up to 8 MHz */
    R(SPI1 + 0x40) = 8u << 16;   /* eight bits, one lane, receive */
    emulab_interrupt_attach(IRQ_SPI1, spi_interrupt);
}

/* As many bytes as the FIFOs hold, then all their answers at once; the core waits for the interrupt meanwhile. */
void emulab_spi_transfer(const uint8_t *out, uint8_t *in, uint32_t n)
{
    while (n) {
        uint32_t part = n < 8 ? n : 8;
        R(SPI1 + 0x54) = part - 1; /* receive watermark: more than so many */
        for (uint32_t i = 0; i < part; i++)
            R(SPI1 + 0x48) = *out++;
        R(SPI1 + 0x70) = 2;
        emulab_wait(&spi_full, 0);
        for (uint32_t i = 0; i < part; i++)
            *in++ = (uint8_t)R(SPI1 + 0x4C);
        n -= part;
    }
}

void emulab_i2c_init(void)
{
    uint32_t prescale = EMULAB_CORE_CLOCK_HZ / (5u * 400000u) - 1u;
    R(GPIO_IOF_SEL) &= ~(3u << 12);
    R(GPIO_IOF_EN) |= 3u << 12;
    R(I2C + 0x08) = 0;
    R(I2C + 0x00) = prescale & 0xFF;
    R(I2C + 0x04) = prescale >> 8;
    R(I2C + 0x08) = 0x80;
}

static int command(uint32_t what)
{
    R(I2C + 0x10) = what;
    uint32_t status;
    while ((status = R(I2C + 0x10)) & 2u)
        ;
    return status & 0x80u ? -1 : 0;
}

static int address(uint8_t value)
{
    R(I2C + 0x0C) = value;
    if (command(0x90) == 0)
        return 0;
    command(0x40);
    return -1;
}

int emulab_i2c_transfer(uint8_t to, const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n)
{
    if (out_n > 255 || in_n > 255)
        return -1;
    if (out_n || !in_n) {
        if (address((uint8_t)(to << 1)))
            return -1;
        for (uint32_t i = 0; i < out_n; i++) {
            R(I2C + 0x0C) = out[i];
            if (command(0x10)) {
                command(0x40);
                return -1;
            }
        }
    }
    if (in_n) {
        if (address((uint8_t)(to << 1 | 1)))
            return -1;
        for (uint32_t i = 0; i < in_n; i++) {
            command(i + 1 < in_n ? 0x20 : 0x28); /* the last byte is not acknowledged */
            in[i] = (uint8_t)R(I2C + 0x0C);
        }
    }
    command(0x40);
    return 0;
}
