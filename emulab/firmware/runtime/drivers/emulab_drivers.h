/* SPDX-License-Identifier: MIT-0
 * What an application may ask of the board beside the runtime's port: interrupts, pins, buses with DMA, clocks and sleep.
 * One folder of drivers per family implements it; emulab picks the folder by the platform's SoC.
 *
 * An application defines `_Noreturn void emulab_main(void)`. It is entered at the board's full clock, with the console
 * (emulab_console_write) and the timer (emulab_timer_ticks) of port.h ready. Transfers return when they are complete; the
 * core sleeps meanwhile, unless it says otherwise. Where a part is connected stands in the generated emulab_parts.h. */
#ifndef EMULAB_DRIVERS_H
#define EMULAB_DRIVERS_H

#include <stddef.h>
#include <stdint.h>

/* Call *handler* when interrupt *number* comes, and let it come. */
void emulab_interrupt_attach(uint32_t number, void (*handler)(void));

/* Sleep until *flag* is not 0, then clear it. *deep*: in the deepest mode that an interrupt can end, with RAM kept. */
void emulab_wait(volatile uint32_t *flag, int deep);

/* Clocks. Full is the board's own clock point, with which emulab_main begins; slow is what the chip wakes up with from
 * deep sleep, and the only one in which emulab_wait may go deep. The console works at full clock alone. */
void emulab_clock_full(void);
void emulab_clock_slow(void);

/* A timer that goes on in deep sleep: sets *flag* every *period_ms* (1 to 15990), beginning now. */
void emulab_wake_every(uint32_t period_ms, volatile uint32_t *flag);

/* Pins: port and number as EMULAB_<PART>_SELECT and EMULAB_<PART>_INTERRUPT give both: 'E', 0 is PE0; '1', 12 is P1.12. */
void emulab_pin_output(char port, uint32_t pin, int level);
void emulab_pin_write(char port, uint32_t pin, int level);
void emulab_pin_on_rising(char port, uint32_t pin, volatile uint32_t *flag); /* also from deep sleep */

/* SPI master, mode 0 or 3, 8 bits, as fast as the slow clock allows. The caller drives chip select. */
void emulab_spi_init(void);
void emulab_spi_transfer(const uint8_t *out, uint8_t *in, uint32_t n);

/* I2C master at 400 kbit/s, 7-bit addresses: write *out_n* bytes, then (repeated start) read *in_n*; either may be 0.
 * Up to 255 bytes each way. Returns 0, or -1 where nobody acknowledged. The core polls meanwhile: an answer that does not
 * come has to be seen. */
void emulab_i2c_init(void);
int emulab_i2c_transfer(uint8_t address, const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n);

/* ADC: *n* conversions (12 bits) of one channel to *to* by DMA, one after the other, each sampled for 640 of its clocks: 1531
 * a second at the slow clock. The core sleeps meanwhile, not deep. */
void emulab_adc_init(void);
void emulab_adc_sample(uint32_t channel, uint16_t *to, uint32_t n);

/* A second UART at 115200 baud whatever the core's clock is, for a radio or modem that answers what it is told: send
 * *out_n* bytes, wait for *in_n*. Returns the number that came, fewer than *in_n* where it fell silent. */
void emulab_modem_init(void);
uint32_t emulab_modem_exchange(const uint8_t *out, uint32_t out_n, uint8_t *in, uint32_t in_n);

/* Bluetooth LE advertising: the chip's own radio, else a controller behind the second UART. Legacy ADV_NONCONN_IND at 1 Mbit/s
 * and 0 dBm on channels 37 to 39: *n* bytes (up to 31) of advertising data, *events* times, *interval_ms* apart (20 to 10000)
 * and a random delay up to 10 ms. It returns at once; what is still under way of an earlier message is given up. 0, or -1
 * where the controller does not answer or refuses. */
int emulab_radio_init(void);
int emulab_radio_advertise(const uint8_t *data, uint32_t n, uint32_t interval_ms, uint8_t events);

#endif
