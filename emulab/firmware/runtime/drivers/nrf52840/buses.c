/* SPDX-License-Identifier: MIT-0
 * nRF52840: output pins (ports '0' and '1'), SPIM1 on P0.27, P0.26, P0.02 at 4 MHz, TWIM0 on P0.31, P0.30 at 400 kbit/s, both by
 * EasyDMA, from and to RAM. Source: nRF52840 Product Specification v1.7, 6.9, 6.25, 6.31. */
#include "emulab_drivers.h"
#include "nrf52840.h"

#define SPIM 0x40004000u
#define TWIM 0x40003000u
#define IRQ_SPIM 4u
#define IRQ_TWIM 3u
#define STOPPED 0x104u
#define END 0x118u
#define ERROR 0x124u

static volatile uint32_t spi_done, i2c_done;

void emulab_pin_write(char port, uint32_t pin, int level)
{
    R(GPIO(port) + (level ? 0x508u : 0x50Cu)) = 1u << pin;
}

void emulab_pin_output(char port, uint32_t pin, int level)
{
    emulab_pin_write(port, pin, level);
    R(GPIO(port) + 0x700u + 4u * pin) = 3; /* output, input buffer off */
}

static void spi_interrupt(void)
{
    R(SPIM + END) = 0;
    (void)R(SPIM + END); /* the write has arrived */
    spi_done = 1;
}

void emulab_spi_init(void)
{
    emulab_pin_output('0', 27, 0);
    emulab_pin_output('0', 26, 0);
    R(GPIO('0') + 0x700u + 4u * 2u) = 0;
    R(SPIM + 0x508) = 27, R(SPIM + 0x50C) = 26, R(SPIM + 0x510) = 2;
    R(SPIM + 0x524) = 0x40000000;
    R(SPIM + 0x554) = 0;
    R(SPIM + 0x304) = 1u << (END - 0x100u) / 4u;
    emulab_interrupt_attach(IRQ_SPIM, spi_interrupt);
}

void emulab_spi_transfer(const uint8_t *out, uint8_t *in, uint32_t n)
{
    spi_done = 0;
    R(SPIM + 0x500) = 7;
    R(SPIM + 0x544) = (uint32_t)(uintptr_t)out, R(SPIM + 0x548) = n;
    R(SPIM + 0x534) = (uint32_t)(uintptr_t)in, R(SPIM + 0x538) = n;
    R(SPIM + 0x10) = 1;
    emulab_wait(&spi_done, 0);
    R(SPIM + 0x500) = 0;
}

static void i2c_interrupt(void)
{
    if (R(TWIM + ERROR)) {
        R(TWIM + ERROR) = 0;
        R(TWIM + 0x14) = 1; /* stop */
    }
    if (R(TWIM + STOPPED)) {
        R(TWIM + STOPPED) = 0;
        i2c_done = 1;
    }
    (void)R(TWIM + STOPPED);
}

void emulab_i2c_init(void)
{
    for (uint32_t pin = 30; pin <= 31; pin++)
        R(GPIO('0') + 0x700u + 4u * pin) = 6u << 8 | 3u << 2; /* open drain, pulled up */
    R(TWIM + 0x508) = 31, R(TWIM + 0x50C) = 30;
    R(TWIM + 0x524) = 0x06400000;
    R(TWIM + 0x304) = 1u << (STOPPED - 0x100u) / 4u | 1u << (ERROR - 0x100u) / 4u;
    emulab_interrupt_attach(IRQ_TWIM, i2c_interrupt);
}

int emulab_i2c_transfer(uint8_t address, const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n)
{
    if (out_n > 255 || in_n > 255)
        return -1;
    i2c_done = 0;
    R(TWIM + 0x4C4) = 7;
    R(TWIM + 0x500) = 6;
    R(TWIM + 0x588) = address;
    R(TWIM + 0x544) = (uint32_t)(uintptr_t)out, R(TWIM + 0x548) = out_n;
    R(TWIM + 0x534) = (uint32_t)(uintptr_t)in, R(TWIM + 0x538) = in_n;
    /* shortcuts: after the last byte out read or stop, after the last byte in stop */
    R(TWIM + 0x200) = (in_n ? 1u << 7 : 1u << 9) | 1u << 12;
    R(TWIM + (out_n || !in_n ? 0x08u : 0x00u)) = 1;
    emulab_wait(&i2c_done, 0);
    int result = R(TWIM + 0x4C4) & 7u ? -1 : 0;
    R(TWIM + 0x500) = 0;
    return result;
}
