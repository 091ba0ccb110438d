/* SPDX-License-Identifier: MIT-0
 * What the node says, as Bluetooth LE advertising. */
#ifndef RADIO_H
#define RADIO_H

#include <stdint.h>

int radio_init(void); /* 0, or -1 where the radio does not answer or refuses */

/* Advertise *n* bytes (up to 24) of manufacturer data in *events* events, 100 ms apart. Returns as soon as the radio
 * has taken it over: it goes on by itself and goes to sleep after the last. */
int radio_send(const uint8_t *data, uint32_t n, uint8_t events);

#endif
