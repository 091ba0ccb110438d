/* SPDX-License-Identifier: MIT-0
 * The two halves of the DUT firmware: commands (commands.c) and the model behind them (inference.c). */
#ifndef EMULAB_DUT_H
#define EMULAB_DUT_H

#include <stddef.h>
#include <stdint.h>

/* commands.c */
void dut_print(const char *format, ...) __attribute__((format(printf, 1, 2)));
void dut_print_bytes(const char *label, const uint8_t *bytes, size_t size);
void dut_timestamp(void);

/* inference.c: the input as the host sends it, and the model's answer */
extern uint8_t dut_input[];
extern const uint32_t dut_input_size;
void dut_infer(uint32_t warmups, uint32_t inferences);
void dut_results(void);
void dut_output(void);

#endif
