/* SPDX-License-Identifier: MIT-0 */
/* Kernels of two tensors, element by element, beyond sum and product: `binary.c`. A step of 0 holds an operand still. */
#ifndef EMULAB_BINARY_H
#define EMULAB_BINARY_H

#include "emulab_elementwise.h"

/* Kernels without parameters take any `p`. */
#define EMULAB_BINARY_KERNEL(name, params, from, to)                                                                   \
    void name(const params *p, int32_t n, const from *a, int32_t step_a, const from *b, int32_t step_b, to *out)

#define EMULAB_BINARY_BOTH(one, other, params, from, to)                                                               \
    EMULAB_BINARY_KERNEL(one, params, from, to);                                                                       \
    EMULAB_BINARY_KERNEL(other, params, from, to)

EMULAB_BINARY_BOTH(emulab_maximum_s8, emulab_minimum_s8, void, int8_t, int8_t);
EMULAB_BINARY_BOTH(emulab_maximum_s16, emulab_minimum_s16, void, int16_t, int16_t);
EMULAB_BINARY_BOTH(emulab_maximum_s32, emulab_minimum_s32, void, int32_t, int32_t);
EMULAB_BINARY_BOTH(emulab_maximum_f32, emulab_minimum_f32, void, float, float);

#define EMULAB_ORDER(suffix, params, from)                                                                             \
    EMULAB_BINARY_BOTH(emulab_equal_##suffix, emulab_not_equal_##suffix, params, from, uint8_t);                       \
    EMULAB_BINARY_BOTH(emulab_greater_##suffix, emulab_greater_equal_##suffix, params, from, uint8_t);                 \
    EMULAB_BINARY_BOTH(emulab_less_##suffix, emulab_less_equal_##suffix, params, from, uint8_t)
EMULAB_ORDER(s8, emulab_add_s8_params, int8_t);
EMULAB_ORDER(s32, void, int32_t);
EMULAB_ORDER(f32, void, float);
EMULAB_BINARY_BOTH(emulab_equal_u8, emulab_not_equal_u8, void, uint8_t, uint8_t);
EMULAB_BINARY_BOTH(emulab_logical_and_u8, emulab_logical_or_u8, void, uint8_t, uint8_t);

EMULAB_BINARY_BOTH(emulab_add_s32, emulab_sub_s32, void, int32_t, int32_t);
EMULAB_BINARY_KERNEL(emulab_mul_s32, void, int32_t, int32_t);
EMULAB_BINARY_KERNEL(emulab_squared_difference_s8, emulab_add_s8_params, int8_t, int8_t);
EMULAB_BINARY_KERNEL(emulab_squared_difference_f32, void, float, float);
EMULAB_BINARY_KERNEL(emulab_div_s8, emulab_mul_s8_params, int8_t, int8_t);
EMULAB_BINARY_KERNEL(emulab_div_f32, emulab_binary_f32_params, float, float);
EMULAB_BINARY_KERNEL(emulab_floor_div_f32, void, float, float);
EMULAB_BINARY_KERNEL(emulab_floor_mod_f32, void, float, float);
EMULAB_BINARY_KERNEL(emulab_prelu_s8, emulab_add_s8_params, int8_t, int8_t);
EMULAB_BINARY_KERNEL(emulab_prelu_f32, void, float, float);

#endif
