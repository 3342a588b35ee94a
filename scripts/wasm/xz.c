/*
 * The part of liblzma's API that src/codec/released/xz drives, over two fixed buffers: LZMA2 as it stands in the
 * blocks of .xz files, without their headers, and the CRC64 over what is in them. One encoder at a time; its memory
 * is kept for the next one.
 */
#include "lzma.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define BUFFER (1 << 20)

static unsigned char input[BUFFER];
static unsigned char output[BUFFER];
static lzma_stream stream = LZMA_STREAM_INIT;
static lzma_options_lzma options;
static lzma_filter filters[2];
static int ended;

EXPORT("input") unsigned char *input_buffer(void) { return input; }
EXPORT("output") unsigned char *output_buffer(void) { return output; }
EXPORT("bufferSize") int buffer_size(void) { return BUFFER; }

/* Presets are 0 to 9, plus 2^31 for -e. Returns an lzma_ret, LZMA_OK being 0. */
EXPORT("start") int start(unsigned int preset) {
  if (lzma_lzma_preset(&options, preset)) return LZMA_OPTIONS_ERROR;
  filters[0].id = LZMA_FILTER_LZMA2;
  filters[0].options = &options;
  filters[1].id = LZMA_VLI_UNKNOWN;
  stream.next_in = input;
  stream.avail_in = 0;
  ended = 0;
  return lzma_raw_encoder(&stream, filters);
}

/* Offers `length` new bytes of `input`; the old ones must be used up. */
EXPORT("feed") void feed(int length) {
  stream.next_in = input;
  stream.avail_in = (size_t)length;
}

/* Fills `output`; returns how many bytes are in it, or a negative lzma_ret. */
EXPORT("step") int step(int finish) {
  stream.next_out = output;
  stream.avail_out = BUFFER;
  if (ended) return 0;
  lzma_ret status = lzma_code(&stream, finish ? LZMA_FINISH : LZMA_RUN);
  ended = status == LZMA_STREAM_END;
  /* LZMA_BUF_ERROR: nothing to do without more input, which is no error here. */
  if (status != LZMA_OK && status != LZMA_STREAM_END && status != LZMA_BUF_ERROR) return -(int)status;
  return BUFFER - (int)stream.avail_out;
}

/* The CRC64 of `length` bytes of `input`, going on from `before`. */
EXPORT("crc64") unsigned long long crc64(int length, unsigned long long before) {
  return lzma_crc64(input, (size_t)length, before);
}
