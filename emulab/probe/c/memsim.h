/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What memory costs: flash accelerators, caches and bus latencies, simulated access by access.
 *
 * The probe core calls em_fetch for every executed block and em_data for data accesses; both return stall cycles
 * (0 for a hit or a zero-wait memory). The configuration is a flat array of 32-bit words that emulab/timing/memory.py
 * writes from the platform; the layout is described in memsim.c and versioned by its first word. */
#ifndef EMULAB_MEMSIM_H
#define EMULAB_MEMSIM_H
#include <stddef.h>
#include <stdint.h>

typedef struct em_memsim em_memsim;

em_memsim *em_new(const uint32_t *config, size_t words);
void em_free(em_memsim *);
/* Back to the state after reset (cold caches), counters kept. */
void em_reset(em_memsim *);
/* plain != 0: price every access the general way. Results are the same; tests compare the two. */
void em_plain(em_memsim *, int plain);
/* Execution time that passes: call it at block entry, before em_fetch, with the block's static cost (all of its
 * cycles_q8, entry_q8 and, for the block left, taken_q8). Prefetch, line fills and write buffers overlap with it.
 * Stall cycles that em_fetch, em_data and em_branch return are added to the simulator's clock by themselves. */
void em_execute(em_memsim *, uint32_t cycles_q8);
/* Stall cycles for fetching [address, address+size). sequential: control fell through from the byte before. */
uint32_t em_fetch(em_memsim *, uint32_t address, uint32_t size, int sequential);
/* When the next em_data happens: static cycles of the block before it (optional). */
void em_at(em_memsim *, uint32_t cycles_q8);
/* Stall cycles of one data access. pc: address of the instruction, or any number of the block that grows by four from one
 * instruction to the next: it tells whether two accesses belong to neighbouring instructions. */
uint32_t em_data(em_memsim *, uint32_t pc, uint32_t address, uint32_t size, int is_write);
/* Branch at the end of a block: returns what a wrong prediction adds, in 1/256 cycle, on top of the block's static
 * taken_q8, which the caller adds itself when the branch is taken (and passes here). 0 on cores without predictor.
 * address is that of the branch instruction, kind a set of EM_BRANCH_* bits (BlockCost.branch_kind). */
uint32_t em_branch(em_memsim *, uint32_t address, uint32_t target, int taken, int kind, uint32_t static_taken_q8);
enum { EM_BRANCH_CONDITIONAL = 1, EM_BRANCH_DIRECT = 2, EM_BRANCH_CALL = 4, EM_BRANCH_RETURN = 8, EM_BRANCH_INDIRECT = 16 };
/* Settings the firmware changes at run time: EM_WAIT_STATES, EM_PREFETCH, EM_ICACHE, EM_DCACHE, EM_ICACHE_RESET, ... */
void em_set(em_memsim *, int parameter, uint32_t value);
enum { EM_WAIT_STATES = 0, EM_PREFETCH, EM_ICACHE, EM_DCACHE, EM_ICACHE_INVALIDATE, EM_DCACHE_INVALIDATE, EM_PARAMETERS };
/* Counters, cumulative: copies up to n values, returns how many there are; em_counter_name(i) names them. */
size_t em_counters(const em_memsim *, uint64_t *out, size_t n);
const char *em_counter_name(const em_memsim *, size_t index);
/* 1 if an access to this address can ever stall or must be counted (lets the probe skip the call). */
int em_tracks(const em_memsim *, uint32_t address);
#endif
