/* I2C and ADC through emulab's own drivers: an accelerometer on I2C1, two voltages at ADC1. */
#include "emulab_drivers.h"
#include "port.h"

#define SENSOR 0x19

volatile uint32_t done, identity, nobody, refused, watermarks, i2c_ticks;
uint8_t burst[192];
uint16_t slow[256], steady[16];
static volatile uint32_t full;

static void put(uint8_t address, uint8_t value)
{
    uint8_t out[2] = {address, value};
    refused += emulab_i2c_transfer(SENSOR, out, 2, 0, 0) != 0;
}

_Noreturn void emulab_main(void)
{
    uint8_t address = 0x0F, byte = 0;
    emulab_clock_slow();
    emulab_i2c_init();
    emulab_adc_init();
    emulab_pin_on_rising('E', 1, &full);
    refused += emulab_i2c_transfer(SENSOR, &address, 1, &byte, 1) != 0;
    identity = byte;
    nobody = emulab_i2c_transfer(0x42, &address, 1, &byte, 1) == -1;
    nobody += emulab_i2c_transfer(0x42, 0, 0, 0, 0) == -1;
    nobody += emulab_i2c_transfer(SENSOR, 0, 0, 0, 0) == 0;
    put(0x22, 0x04), put(0x24, 0x40), put(0x2E, 0x80 | 31), put(0x20, 0x57); /* FIFO, 100 Hz */
    emulab_wait(&full, 1);
    watermarks++;
    address = 0x80 | 0x28; /* the sub-address counts up */
    uint64_t before = emulab_timer_ticks();
    refused += emulab_i2c_transfer(SENSOR, &address, 1, burst, sizeof burst) != 0;
    i2c_ticks = (uint32_t)(emulab_timer_ticks() - before);
    emulab_adc_sample(5, slow, 256);
    emulab_adc_sample(12, steady, 16);
    done = 1;
    for (;;) {
        emulab_core_lock();
        emulab_core_sleep();
    }
}
