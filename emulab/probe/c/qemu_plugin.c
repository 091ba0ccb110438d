/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The probe as a QEMU TCG plugin: exact counts per block, sent to the host at every window edge.
 *
 * Tables, prices and the memory simulator are probe.c, shared with the embedded engine. Where memories cost nothing, which is
 * known before the run, blocks and accesses are counted here in a few instructions each and handed to the probe at every
 * edge (settle); else each goes through the probe at once. QEMU tells when a translation block (TB) starts, and it
 * counts as a whole then. Two things make the counts exact: a window edge inside a TB splits it; and under -icount an access
 * to a device that is not the last of its TB makes QEMU leave the TB and run that one instruction again with memory
 * callbacks only (seen here as an access whose TB is not the one that runs), which splits it as well.
 *
 * State: qemu_state.h; blocks and edges: qemu_count.h; memory: qemu_access.h; here: what QEMU calls, and installation. */
#define _GNU_SOURCE
#include "qemu_access.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

PLUGIN_EXPORT int qemu_plugin_version = EMULAB_PLUGIN_API;

/* ---- what QEMU calls ----------------------------------------------------------------------------------------- */

static size_t code_of(const struct qemu_plugin_insn *q, uint8_t *to, size_t size) {
#if EMULAB_PLUGIN_API >= 3
    return qemu_plugin_insn_data(q, to, size);
#else
    memcpy(to, qemu_plugin_insn_data(q), size);
    return size;
#endif
}

static int is_wfi(const uint8_t *code, uint32_t size) {
    return riscv ? size == 4 && !memcmp(code, "\x73\x00\x50\x10", 4) : size == 2 && !memcmp(code, "\x30\xbf", 2);
}

/* Bytes of an instruction, from its first halfword. (QEMU's own size counts a halfword too many at the end of a page, where
 * it has looked at what follows.) */
static uint32_t length_of(const uint8_t *code) {
    if (riscv) return (code[0] & 3) == 3 ? 4 : 2;
    return code[1] >> 3 >= 0x1D ? 4 : 2;
}

static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *q) {
    (void)id;
    size_t n = qemu_plugin_tb_n_insns(q), size = 0;
    if (!n) return;
    tb *t = must(malloc(sizeof *t + n * 4 + 16));
    insn *list = must(calloc(n, sizeof *list));
    t->insns = list, t->instructions = (uint32_t)n;
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *qi = qemu_plugin_tb_get_insn(q, k);
        uint8_t *code = t->code + size;
        list[k].tb = t, list[k].index = (uint32_t)k;
        list[k].address = (uint32_t)qemu_plugin_insn_vaddr(qi);
        size_t all = qemu_plugin_insn_size(qi);
        code_of(qi, code, all < 8 ? all : 8);
        list[k].bytes = length_of(code);
        list[k].atomic = riscv && (code[0] & 0x7F) == 0x2F;
        list[k].pair = !riscv && (code[1] & 0xFE) == 0xE8 && code[0] & 0x40;
        size += list[k].bytes;
    }
    t->block = find_block(list[0].address, (uint32_t)size, (uint32_t)n, list[n - 1].address, t->code);
    qemu_plugin_register_vcpu_tb_exec_cb(q, probe->memory ? on_block_simulated : on_block, QEMU_PLUGIN_CB_NO_REGS, t);
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *qi = qemu_plugin_tb_get_insn(q, k);
        for (unsigned e = 0; e < edge_count; e++) {
            if (edges[e].address == list[k].address && !edges[e].stored) {
                qemu_plugin_register_vcpu_insn_exec_cb(qi, on_edge, QEMU_PLUGIN_CB_NO_REGS, &list[k]);
                break;
            }
        }
        if (is_wfi(t->code + (list[k].address - list[0].address), list[k].bytes)) {
            qemu_plugin_register_vcpu_insn_exec_cb(qi, on_sleep, QEMU_PLUGIN_CB_NO_REGS, &list[k]);
        }
        if (count_memory) {
            qemu_plugin_register_vcpu_mem_cb(qi, on_access, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW, &list[k]);
        }
    }
}

static void on_quit(qemu_plugin_id_t id, void *user) {
    (void)id, (void)user;
    send_edge(EXIT, 0, UNKNOWN_BYTE);
}

/* ---- installation -------------------------------------------------------------------------------------------- */

static void mark(uint32_t base, uint32_t size, unsigned kind) {
    uint64_t last = (uint64_t)base + size - 1;
    for (uint64_t page = base >> PAGE_SHIFT; page <= last >> PAGE_SHIFT; page++) page_kind[page] = (uint8_t)kind;
}

/* One line of the configuration: a word and numbers. Returns 0 where it is not understood. */
static int configure(const char *line) {
    unsigned a, b, c, d;
    int partner;
    if (sscanf(line, "region %x %x %u %u", &a, &b, &c, &d) == 4 && b) {
        if (em_probe_add_region(probe, translate(a), b, NULL, c, d)) return 0;
        mark(a, b, d ? DEVICE : MEMORY);
        if (!d && memory_count < MAX_MEMORIES) {
            memories[memory_count].base = a, memories[memory_count].size = b, memories[memory_count++].counter = c;
        }
    } else if (sscanf(line, "uart %x %x %x", &a, &b, &c) == 3 && uart_count < MAX_UARTS) {
        uarts[uart_count].store = a, uarts[uart_count].load = b, uarts[uart_count].poll = c;
        uart_count++;
        page_kind[a >> PAGE_SHIFT] = page_kind[b >> PAGE_SHIFT] = page_kind[c >> PAGE_SHIFT] = CONSOLE;
    } else if (sscanf(line, "edge %u %x %d %u", &a, &b, &partner, &d) == 4 && edge_count < MAX_EDGES) {
        edges[edge_count++] = (edge){.id = a, .address = b, .partner = partner, .armed = (int)d};
    } else if (sscanf(line, "marker %u %x %d %u", &a, &b, &partner, &d) == 4 && edge_count < MAX_EDGES) {
        edges[edge_count++] = (edge){.id = a, .address = b, .partner = partner, .armed = (int)d, .stored = 1};
        page_kind[b >> PAGE_SHIFT] = MARKED;
    } else if (sscanf(line, "uart_delays %u", &a) == 1) {
        uart_delays = a;
    } else if (sscanf(line, "count_memory %u", &a) == 1) {
        count_memory = a;
    } else if (sscanf(line, "fifo %u", &a) == 1) {
        link_fifo(a);
    } else if (sscanf(line, "shift %u", &a) == 1) {
        shift = a;
    } else if (sscanf(line, "moved %x %x %x", &a, &b, &c) == 3 && moved_count < sizeof moved / sizeof *moved) {
        moved[moved_count].base = a, moved[moved_count].size = b, moved[moved_count++].offset = c;
    } else if (sscanf(line, "memory %x", &a) == 1) {
        memory_config = must(realloc(memory_config, (memory_words + 1) * sizeof *memory_config));
        memory_config[memory_words++] = a;
    } else if (sscanf(line, "simulate %u", &a) == 1) {
        em_memsim *memory = must(em_new(memory_config, memory_words));
        if (a) probe->memory = memory;
        else misaligned = memory;
    } else {
        return 0;
    }
    return 1;
}

static int read_configuration(const char *path) {
    char line[256];
    FILE *file = fopen(path, "r");
    int understood = file != NULL;
    while (understood && fgets(line, sizeof line, file)) understood = configure(line);
    if (file) fclose(file);
    if (!understood) fprintf(stderr, "emulab probe: cannot read its configuration\n");
    return understood;
}

static const char *option(int argc, char **argv, const char *name) {
    size_t length = strlen(name);
    for (int k = 0; k < argc; k++) {
        if (!strncmp(argv[k], name, length) && argv[k][length] == '=') return argv[k] + length + 1;
    }
    return "";
}

PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
    riscv = !strncmp(info->target_name, "riscv", 5);
    probe = must(em_probe_new());
    if (!read_configuration(option(argc, argv, "config"))) return -1;
    if (link_open(atoi(option(argc, argv, "events")), atoi(option(argc, argv, "commands")), option(argc, argv, "input"),
                  option(argc, argv, "wake"), option(argc, argv, "log"))) {
        return -1;
    }
    link_clock(atoi(option(argc, argv, "clock")), atoi(option(argc, argv, "sink")), option(argc, argv, "dump"));
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_quit, NULL);
    return 0;
}
