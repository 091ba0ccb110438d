/* SPDX-License-Identifier: MIT-0
 * From samples to what the model reads. */
#ifndef FEATURES_H
#define FEATURES_H

#include <stdint.h>

#define SAMPLES 512
#define LEVELS 64

/* The spectrum of SAMPLES values of 12 bits as the model was trained on: LEVELS int8, each the strongest of four lines of a
 * 512-point FFT with a Hann window, in steps of half a decibel above the median (MODEL_CARD.md). */
void features(const int16_t *counts, int8_t *levels);

#endif
