/* SPDX-License-Identifier: MIT-0
 * From the bytes the host sent to the model's input, the timed loop, and the answer in real numbers.
 *
 * EMULAB_DUT_INPUT_* says what the host sends: the tensor as it is, unsigned pixels (kept as value - 128) or float32.
 * EMULAB_DUT_RESULT_MSE: the answer is the mean square error between input and output (an autoencoder). */
#include "dut.h"

#include <math.h>
#include <string.h>

#include "emulab.h"
#include "model.h"
#include "port.h"

#ifdef EMULAB_STREAM /* the host sends a step of samples */
#include "stream.h"
#define SENT_BYTES (2 * EMULAB_AUDIO_STEP)
#elif defined(EMULAB_DUT_ENVELOPE) /* the host sends vibration */
#include "emulab_frontend.h"
#include "envelope.h"
#define SENT_BYTES EMULAB_ENVELOPE_BYTES
#elif defined(EMULAB_DUT_INPUT_FLOAT32)
#define SENT_BYTES (4 * EMULAB_MODEL_INPUT_ELEMENTS)
#elif defined(EMULAB_DUT_INPUT_UINT8)
#define SENT_BYTES EMULAB_MODEL_INPUT_ELEMENTS
#else
#define SENT_BYTES EMULAB_MODEL_INPUT_BYTES
#endif

uint8_t dut_input[SENT_BYTES] __attribute__((aligned(8)));
const uint32_t dut_input_size = SENT_BYTES;

#if defined(EMULAB_DUT_INPUT_FLOAT32) && !EMULAB_MODEL_INPUT_IS_FLOAT
static emulab_model_input_t quantised[EMULAB_MODEL_INPUT_ELEMENTS];

static void prepare(void)
{
    const float *values = (const float *)dut_input;
    for (uint32_t i = 0; i < EMULAB_MODEL_INPUT_ELEMENTS; i++) {
        float q = roundf(values[i] / EMULAB_MODEL_INPUT_SCALE) + (float)EMULAB_MODEL_INPUT_ZERO_POINT;
        quantised[i] = (emulab_model_input_t)(q < -128.0f ? -128.0f : q > 127.0f ? 127.0f : q);
    }
}
#else
static void prepare(void) {}
#endif

#ifdef EMULAB_DUT_ENVELOPE
/* A function of its own, so that the markers stay in line with what they mark. */
__attribute__((noinline)) static void front_end(void)
{
    int32_t steps[EMULAB_ENVELOPE_BINS];
    EMULAB_WINDOW_BEGIN(front_end);
    emulab_envelope(dut_input, steps);
    emulab_model_input_t *to = emulab_model_input();
    for (uint32_t i = 0; i < EMULAB_ENVELOPE_BINS; i++) {
#if EMULAB_MODEL_INPUT_IS_FLOAT
        to[i] = (float)steps[i] * EMULAB_ENVELOPE_SCALE;
#else
        int32_t value = steps[i] + EMULAB_MODEL_INPUT_ZERO_POINT;
        to[i] = (emulab_model_input_t)(value < -128 ? -128 : value > 127 ? 127 : value);
#endif
    }
    EMULAB_WINDOW_END(front_end);
}
#endif

/* The model's input memory is reused during an inference, so it is filled before each. */
static void run_once(void)
{
#if defined(EMULAB_DUT_ENVELOPE)
    front_end();
#elif defined(EMULAB_STREAM)
    stream_step((const int16_t *)(const void *)dut_input);
#elif defined(EMULAB_DUT_INPUT_FLOAT32) && !EMULAB_MODEL_INPUT_IS_FLOAT
    memcpy(emulab_model_input(), quantised, sizeof quantised);
#elif defined(EMULAB_DUT_INPUT_UINT8)
    /* value - 128 in two's complement is the top bit inverted: four pixels per word */
    const uint32_t *from = (const uint32_t *)(const void *)dut_input;
    uint32_t *to = (uint32_t *)(void *)emulab_model_input();
    for (uint32_t i = 0; i < SENT_BYTES / 4; i++)
        to[i] = from[i] ^ 0x80808080u;
    for (uint32_t i = SENT_BYTES / 4 * 4; i < SENT_BYTES; i++)
        ((uint8_t *)to)[i] = dut_input[i] ^ 0x80u;
#else
    memcpy(emulab_model_input(), dut_input, SENT_BYTES);
#endif
#ifndef EMULAB_STREAM
    emulab_model_run();
#endif
}

static void run(uint32_t times)
{
    for (; times; times--) {
        run_once();
        emulab_timer_ticks(); /* the counter may wrap in a window, not in an inference */
    }
}

/* Commands do not depend on one another: a model with state starts each anew, and goes on from inference to inference. */
static void start_anew(void)
{
#if defined(EMULAB_MODEL_VARIABLES) && !defined(EMULAB_STREAM)
    emulab_model_reset();
#endif
}

void dut_infer(uint32_t warmups, uint32_t inferences)
{
    prepare();
    dut_print("m-warmup-start-%lu\r\n", (unsigned long)warmups);
    run(warmups);
    dut_print("m-warmup-done\r\n");
    start_anew();
    dut_print("m-infer-start-%lu\r\n", (unsigned long)inferences);
    dut_timestamp();
    EMULAB_WINDOW_BEGIN(inference);
    run(inferences);
    EMULAB_WINDOW_END(inference);
    dut_timestamp();
    dut_print("m-infer-done\r\n");
    dut_results();
}

/* The same number as a double, by its bits: printing is the only use of doubles, and not worth an instruction that many
 * cores (and some models of those that have it) lack. */
static double widen(float value)
{
    union {
        float f;
        uint32_t u;
    } from = {.f = value};
    union {
        uint64_t u;
        double d;
    } to;
    uint32_t exponent = from.u >> 23 & 0xFF, fraction = from.u & 0x7FFFFF;
    if (exponent == 0xFF)
        exponent = 0x7FF;
    else if (exponent)
        exponent += 1023 - 127;
    else
        fraction = 0; /* below 2^-126: prints as zero anyway */
    to.u = (uint64_t)(from.u >> 31) << 63 | (uint64_t)exponent << 52 | (uint64_t)fraction << 29;
    return to.d;
}

static float output_value(uint32_t i)
{
#if EMULAB_MODEL_OUTPUT_IS_FLOAT
    return emulab_model_output()[i];
#else
    return (float)((int32_t)emulab_model_output()[i] - EMULAB_MODEL_OUTPUT_ZERO_POINT) * EMULAB_MODEL_OUTPUT_SCALE;
#endif
}

#ifdef EMULAB_DUT_RESULT_MSE

static float input_value(uint32_t i)
{
#if defined(EMULAB_DUT_INPUT_FLOAT32) || EMULAB_MODEL_INPUT_IS_FLOAT
    return ((const float *)dut_input)[i];
#else
    return (float)((int32_t)((const int8_t *)dut_input)[i] - EMULAB_MODEL_INPUT_ZERO_POINT) * EMULAB_MODEL_INPUT_SCALE;
#endif
}

void dut_results(void)
{
    float sum = 0;
    for (uint32_t i = 0; i < EMULAB_MODEL_OUTPUT_ELEMENTS; i++) {
        float difference = output_value(i) - input_value(i);
        sum += difference * difference;
    }
    dut_print("m-results-[%.3f]\r\n", widen(sum / EMULAB_MODEL_OUTPUT_ELEMENTS));
}

#else

void dut_results(void)
{
    dut_print("m-results-[");
    for (uint32_t i = 0; i < EMULAB_MODEL_OUTPUT_ELEMENTS; i++)
        dut_print(i ? ",%.3f" : "%.3f", widen(output_value(i)));
    dut_print("]\r\n");
}

#endif

void dut_output(void)
{
    dut_print_bytes("m-output-", (const uint8_t *)emulab_model_output(), EMULAB_MODEL_OUTPUT_BYTES);
}
