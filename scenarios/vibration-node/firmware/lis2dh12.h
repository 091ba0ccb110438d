/* SPDX-License-Identifier: MIT-0
 * ST LIS2DH12 accelerometer on SPI: chip select and interrupt 1 on the pins that emulab_parts.h names. */
#ifndef LIS2DH12_H
#define LIS2DH12_H

#include <stdint.h>

void accelerometer_init(void);

/* Switch the sensor on at 1344 samples a second, +-2 g, take *n* samples of its x axis (12 bits; a multiple of 32) through
 * its FIFO, switch it off. The core sleeps deep while the FIFO fills. */
void accelerometer_capture(int16_t *counts, uint32_t n);

#endif
