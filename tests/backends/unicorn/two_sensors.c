/* SPI and I2C through emulab's own drivers, one accelerometer on each: the same on any board. */
#include "emulab_drivers.h"
#include "port.h"

volatile uint32_t done, identity_spi, identity_i2c, nobody, refused, i2c_ticks, spi_ticks;
uint8_t over_spi[193], over_i2c[192];

static void spi(uint8_t *out, uint8_t *in, uint32_t n)
{
    emulab_pin_write('0', 9, 0);
    emulab_spi_transfer(out, in, n);
    emulab_pin_write('0', 9, 1);
}

static void put(uint8_t where, uint8_t value)
{
    uint8_t out[2] = {where, value}, in[2];
    spi(out, in, 2);
    refused += emulab_i2c_transfer(0x18, out, 2, 0, 0) != 0;
}

_Noreturn void emulab_main(void)
{
    static uint8_t out[193];
    uint8_t where = 0x0F, byte = 0;
    emulab_pin_output('0', 9, 1);
    emulab_spi_init();
    emulab_i2c_init();
    out[0] = 0x80 | 0x0F;
    spi(out, over_spi, 2);
    identity_spi = over_spi[1];
    refused += emulab_i2c_transfer(0x18, &where, 1, &byte, 1) != 0;
    identity_i2c = byte;
    nobody = emulab_i2c_transfer(0x42, &where, 1, &byte, 1) == -1;
    put(0x24, 0x40), put(0x2E, 0x40), put(0x20, 0x77); /* FIFO until full, 400 Hz */
    where = 0x2F;
    do
        refused += emulab_i2c_transfer(0x18, &where, 1, &byte, 1) != 0;
    while (!(byte & 0x40)); /* OVRN: full */
    out[0] = 0xC0 | 0x28, where = 0x80 | 0x28;
    uint64_t a = emulab_timer_ticks();
    spi(out, over_spi, 193);
    uint64_t b = emulab_timer_ticks();
    refused += emulab_i2c_transfer(0x18, &where, 1, over_i2c, 192) != 0;
    spi_ticks = (uint32_t)(b - a), i2c_ticks = (uint32_t)(emulab_timer_ticks() - b);
    done = 1;
    for (;;)
        emulab_core_sleep();
}
