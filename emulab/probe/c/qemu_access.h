/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the QEMU plugin does when memory is accessed: counts per region, the console, markers, misaligned words. A part of
 * qemu_plugin.c, which includes it once. */
#ifndef EMULAB_QEMU_ACCESS_H
#define EMULAB_QEMU_ACCESS_H
#include "qemu_count.h"

/* Where QEMU left the running TB at this access and ran the instruction on its own, what follows was not executed. */
static const insn *where(const insn *i) {
    if (i->tb == current_tb) return i;
    for (uint32_t k = 0; k < current_tb->instructions; k++) {
        if (current_tb->insns[k].address == i->address) {
            split(k + 1);
            return &current_tb->insns[k];
        }
    }
    return i;
}

static void console_access(const insn *i, uint32_t address, int is_write) {
    for (unsigned u = 0; u < uart_count; u++) {
        if (is_write && address == uarts[u].store) {
            int sent = output_stored((int)uart_delays);
            if (sent >= 0 || uart_delays) edge_before(i, UART_EDGE, sent >= 0 ? (uint32_t)sent : UNKNOWN_BYTE);
        } else if (!is_write && address == uarts[u].load && input_loaded()) {
            continue;
        } else if (!is_write && address == uarts[u].poll) {
            if (!uart_delays || !output_pending()) input_polled(send_counts);
        }
    }
}

/* An access that `hits` does not count. */
static void access_word(insn *i, uint32_t address, uint32_t bytes) {
    if (page_kind[address >> PAGE_SHIFT] < MEMORY) {
        const insn *at = where(i);
        em_probe_access(probe, i->address, address, bytes, i->stores);
        if (page_kind[address >> PAGE_SHIFT] == CONSOLE) console_access(at, address, i->stores);
        return;
    }
    em_probe_access(probe, translate(i->address), translate(address), bytes, i->stores);
    if (page_kind[address >> PAGE_SHIFT] == MARKED && i->stores) reach(i, address, 1);
    if (misaligned && bytes > 1 && address & (bytes - 1)) {
        uint64_t stall_q8 = (uint64_t)em_data(misaligned, translate(i->address), translate(address), bytes, i->stores) << 8;
        probe->cycles_q8 += stall_q8, probe->stall_q8 += stall_q8;
        probe->stalls_q8[current->index] += stall_q8;
    }
    if (probe->memory || i->atomic || i->span) return;
    i->misaligned = misaligned ? bytes - 1 : 0;
    for (unsigned m = 0; m < memory_count; m++) {
        if (address - memories[m].base >= memories[m].size || page_kind[address >> PAGE_SHIFT] == MARKED) continue;
        i->base = memories[m].base, i->span = memories[m].size, i->counter = memories[m].counter;
        for (unsigned e = 0; e < edge_count; e++) { /* an access to a page with a marker goes the long way */
            uint32_t page = edges[e].address >> PAGE_SHIFT << PAGE_SHIFT, size = 1u << PAGE_SHIFT;
            if (!edges[e].stored || page - i->base >= i->span) continue;
            if (address < page) i->span = page - i->base;
            else i->span -= page + size - i->base, i->base = page + size;
        }
        i->span -= (i->words - 1) * bytes;
        i->next_active = active, active = i;
    }
}

/* The first access of an instruction since the last edge, or one outside the memory of the one before. */
static SELDOM void access_elsewhere(insn *i, qemu_plugin_meminfo_t info, uint32_t address) {
    uint32_t bytes = i->access_bytes;
    if (!bytes) {
        bytes = 1u << qemu_plugin_mem_size_shift(info);
        i->stores = qemu_plugin_mem_is_store(info);
        i->words = i->pair && bytes == 8 ? 2 : 1;
        bytes /= i->words;
        if (!i->atomic) i->access_bytes = bytes;
    }
    access_word(i, address, bytes);
    if (i->words == 2) access_word(i, address + bytes, bytes);
}

static void on_access(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t vaddr, void *user) {
    (void)vcpu;
    insn *i = user;
    if ((uint32_t)vaddr - i->base < i->span && !(vaddr & i->misaligned)) i->hits++;
    else access_elsewhere(i, info, (uint32_t)vaddr);
}

#endif
