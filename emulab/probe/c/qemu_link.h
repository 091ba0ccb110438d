/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The QEMU plugin's link to the host: records out over one pipe, commands in over another, console bytes to the UART.
 *
 * Records and commands are {type, bytes that follow} and payload, words in host order (both ends are one machine). The
 * Python end is emulab/backends/qemu/stream.py.
 *
 * Console input. To repeat bit for bit, bytes must reach the UART at the same instruction in every run. A chunk that the
 * host wrote is handed over only where the firmware has polled the empty receiver POLLS times, or is about to sleep; there
 * the vCPU waits, and no virtual time passes. Within a chunk the next byte follows when the firmware has read the one
 * before.
 *
 * Time. The plugin interface tells none. But QEMU notes the virtual time of every packet in a dump of network traffic, so
 * a packet sent through a hub that no device is connected to tells it.
 *
 * Console output. QEMU logs what it sends in the very moment of the store, so the log tells which byte a store sent, and
 * whether it sent one (a store to a divisor latch, or to a transmitter that is off, does not). */
#ifndef EMULAB_QEMU_LINK_H
#define EMULAB_QEMU_LINK_H
#include <stddef.h>
#include <stdint.h>

/* AWAIT carries the number of chunks taken so far, so that the host can tell whether it was sent before its last one. */
enum { BLOCK = 1, EDGE, AWAIT, IDLE, STATE, EXIT }; /* records */
enum { DATA = 1, RUN, HOLD, QUERY, PRICE };         /* commands */

/* Opens the console's input line, the monitor's and the console's log, starts the thread that listens to the host. 0, or -1
 * with a line on stderr. */
int link_open(int events_fd, int control_fd, const char *input_path, const char *wake_path, const char *log_path);
/* How many bytes of input the UART's model takes at once, 1 unless told. */
void link_fifo(uint32_t bytes);
/* What tells the time: packets written to clock_fd come out of sink_fd, and stand in the dump with their virtual time. */
void link_clock(int clock_fd, int sink_fd, const char *dump_path);

/* A record is built between begin and end; end with now != 0 sends everything that waits. */
void link_begin(uint32_t type);
void link_word(uint32_t value);
void link_long(uint64_t value);
void link_bytes(const void *data, size_t size);
void link_end(int now);
void link_signal(uint32_t type, uint32_t pc, uint32_t value);

/* The firmware stored to the console's data register: the byte that was sent, -1 if none, or if the UART sends later.
 * output_pending tells for such a UART whether it still has to send. */
int output_stored(int later);
int output_pending(void);
/* The firmware polled the receiver, or loaded from it (1 where that took a byte), or is about to sleep. `counts` is called
 * before the vCPU waits for input, so that the host has all counts by then. */
void input_polled(void (*counts)(void));
int input_loaded(void);
void input_sleeps(void (*counts)(void));
/* It woke up: whether it slept by itself; 0 where it slept until the host spoke, or input was there already. */
int input_wakes(void);
/* QEMU's virtual time in ns (to 1 us), as of the last time the vCPU went to sleep; 0 where it cannot be told. */
uint64_t virtual_ns(void);
/* Chunks that were handed over without waiting for a poll, because the firmware never polled. */
uint32_t input_late(void);

/* Wait for the host's PRICE of a block: cycles_q8, taken_q8, entry_q8, branch_kind, behind, late_q8[2]. */
enum { PRICE_WORDS = 7 };
void link_price(uint32_t words[PRICE_WORDS]);

/* Answers of the plugin to the link. */
uint32_t plugin_pc(void);
#endif
