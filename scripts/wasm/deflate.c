/*
 * The part of zlib's API that src/codec/deflate drives, over two fixed buffers. One stream at a
 * time; its state lives in an arena that `start` empties, so an instance never grows.
 *
 * A deflater's bytes depend on the order of calls too: feeding all input before the first
 * `step` with FINISH is what zlib's compress() does.
 */
#include "zlib.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define BUFFER (1 << 20)
/* zlib wants 268 KiB at windowBits 15, memLevel 9; zlib-ng up to 450 KiB. */
#define ARENA (1 << 20)

static unsigned char input[BUFFER];
static unsigned char output[BUFFER];
static _Alignas(64) unsigned char arena[ARENA];
static unsigned int used;
static z_stream stream;

static voidpf allocate(voidpf opaque, uInt items, uInt size) {
  (void)opaque;
  unsigned long long bytes = ((unsigned long long)items * size + 63) & ~63ull;
  if (bytes > ARENA - used) return Z_NULL;
  voidpf block = arena + used;
  used += (unsigned int)bytes;
  return block;
}

static void release(voidpf opaque, voidpf block) {
  (void)opaque;
  (void)block;
}

EXPORT("input") unsigned char *input_buffer(void) { return input; }
EXPORT("output") unsigned char *output_buffer(void) { return output; }
EXPORT("bufferSize") int buffer_size(void) { return BUFFER; }

/* windowBits as for deflateInit2: negative is raw deflate, plus 16 is gzip. */
EXPORT("start") int start(int level, int window_bits, int mem_level, int strategy) {
  used = 0;
  for (unsigned int i = 0; i < sizeof stream; i++) ((unsigned char *)&stream)[i] = 0;
  stream.zalloc = allocate;
  stream.zfree = release;
  return deflateInit2(&stream, level, Z_DEFLATED, window_bits, mem_level, strategy);
}

/* Offers `length` new bytes of `input`; the old ones must be used up. */
EXPORT("feed") void feed(int length) {
  stream.next_in = input;
  stream.avail_in = (uInt)length;
}

/* Fills `output`; returns how many bytes are in it, or a negative Z_* error. */
EXPORT("step") int step(int flush) {
  stream.next_out = output;
  stream.avail_out = BUFFER;
  int status = deflate(&stream, flush);
  /* Z_BUF_ERROR: nothing to do without more input, which is no error here. */
  if (status < 0 && status != Z_BUF_ERROR) return status;
  return BUFFER - (int)stream.avail_out;
}

#ifdef WITH_INFLATE
/* Inflates `length` bytes of `input`, one whole stream, into at most `room` bytes of `output`.
 * Returns how many there are, or a negative Z_* error: Z_BUF_ERROR if `room` or the input is short. */
EXPORT("inflate") int inflate_all(int length, int room, int window_bits) {
  used = 0;
  for (unsigned int i = 0; i < sizeof stream; i++) ((unsigned char *)&stream)[i] = 0;
  stream.zalloc = allocate;
  stream.zfree = release;
  int status = inflateInit2(&stream, window_bits);
  if (status != Z_OK) return status;
  stream.next_in = input;
  stream.avail_in = (uInt)length;
  stream.next_out = output;
  stream.avail_out = (uInt)room;
  status = inflate(&stream, Z_FINISH);
  if (status == Z_STREAM_END) return (int)stream.total_out;
  return status < 0 ? status : status == Z_NEED_DICT ? Z_DATA_ERROR : Z_BUF_ERROR;
}
#endif
