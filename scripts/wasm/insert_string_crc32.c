/*
 * zlib-ng up to 2.1 hashes with the CPU's CRC instruction where there is one, so that its output
 * depends on the machine: CRC-32C on x86-64 with SSE4.2, CRC-32 on AArch64. This is
 * arch/x86/insert_string_sse42.c and arch/arm/insert_string_acle.c in plain C; it takes the place
 * of insert_string.c. HASH_POLYNOMIAL is the reflected polynomial.
 */
#include "zbuild.h"
#include "deflate.h"

static uint32_t table[4][256];

/* Runs before any export is called. */
__attribute__((constructor)) static void make_table(void) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? HASH_POLYNOMIAL : 0);
        table[0][i] = crc;
    }
    for (uint32_t i = 0; i < 256; i++)
        for (int slice = 1; slice < 4; slice++)
            table[slice][i] = (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 0xff];
}

static inline uint32_t crc_of_word(uint32_t word) {
    return table[3][word & 0xff] ^ table[2][(word >> 8) & 0xff] ^ table[1][(word >> 16) & 0xff] ^
           table[0][word >> 24];
}

#define HASH_CALC(s, h, val) h = crc_of_word(val)

#define HASH_CALC_VAR h
#define HASH_CALC_VAR_INIT uint32_t h = 0

#define UPDATE_HASH update_hash_c
#define INSERT_STRING insert_string_c
#define QUICK_INSERT_STRING quick_insert_string_c

#include "insert_string_tpl.h"
