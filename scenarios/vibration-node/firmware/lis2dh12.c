/* SPDX-License-Identifier: MIT-0
 * Source: ST LIS2DH12 datasheet, chapters 5.1 (FIFO), 6.2 (SPI) and 8 (registers). */
#include "lis2dh12.h"

#include "emulab_drivers.h"
#include "emulab_parts.h"

#define CTRL1 0x20
#define CTRL3 0x22
#define CTRL4 0x23
#define CTRL5 0x24
#define OUT_X_L 0x28
#define FIFO_CTRL 0x2E
#define READ 0x80
#define NEXT 0x40 /* the address counts up */
#define DEPTH 32

static uint8_t sent[1 + DEPTH * 6], got[1 + DEPTH * 6];
static volatile uint32_t full;

static void transfer(uint32_t n)
{
    emulab_pin_write(EMULAB_ACCELEROMETER_SELECT, 0);
    emulab_spi_transfer(sent, got, n);
    emulab_pin_write(EMULAB_ACCELEROMETER_SELECT, 1);
}

static void put(uint8_t address, uint8_t value)
{
    sent[0] = address, sent[1] = value;
    transfer(2);
}

void accelerometer_init(void)
{
    emulab_pin_output(EMULAB_ACCELEROMETER_SELECT, 1);
    emulab_spi_init();
    emulab_pin_on_rising(EMULAB_ACCELEROMETER_INTERRUPT, &full);
    put(CTRL1, 0x07);       /* power-down */
    put(CTRL3, 0x04);       /* interrupt 1: FIFO watermark */
    put(CTRL4, 0x88);       /* high resolution, block data update, +-2 g */
    put(CTRL5, 0x40);       /* FIFO on */
}

void accelerometer_capture(int16_t *counts, uint32_t n)
{
    put(FIFO_CTRL, 0);                /* bypass: empty it */
    put(FIFO_CTRL, 0x80 | (DEPTH - 1)); /* stream, watermark at the last place */
    full = 0;
    put(CTRL1, 0x97); /* 1344 Hz, three axes */
    for (uint32_t done = 0; done < n; done += DEPTH) {
        emulab_wait(&full, 1);
        sent[0] = READ | NEXT | OUT_X_L;
        for (uint32_t i = 1; i < sizeof sent; i++)
            sent[i] = 0;
        transfer(sizeof sent);
        for (uint32_t i = 0; i < DEPTH; i++)
            counts[done + i] = (int16_t)((int16_t)(got[1 + 6 * i] | got[2 + 6 * i] << 8) >> 4);
    }
    put(CTRL1, 0x07);
}
