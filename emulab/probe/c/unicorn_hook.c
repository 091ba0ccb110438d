/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The probe as hooks of Unicorn: signatures of uc_cb_hookcode_t, uc_cb_hookintr_t and uc_cb_eventmem_t. */
#include "probe.h"

void em_unicorn_block(void *engine, uint64_t address, uint32_t size, void *user) {
    (void)engine;
    em_probe_enter(user, (uint32_t)address, size);
}

void em_unicorn_interrupt(void *engine, uint32_t number, void *user) {
    em_probe *face = user;
    (void)engine;
    face->exception = number;
    face->reason = EM_EXCEPTION;
    if (face->stop) face->stop(face->engine);
}
