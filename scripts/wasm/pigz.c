/*
 * zlib as pigz drives it (pigz.c 2.6, compress_thread): blocks of the input, each deflated on its own with the
 * end of the one before as its dictionary, and ended on a byte boundary. The exports are those of deflate.c.
 */
#include "zlib.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define BUFFER (1 << 20)
#define ARENA (1 << 20)
#define MAX_BLOCK (1 << 20)
#define DICTIONARY (32 << 10)
#define LEVEL_OF_INIT 6

static unsigned char input[BUFFER];
static unsigned char output[BUFFER];
static _Alignas(64) unsigned char arena[ARENA];
static unsigned int used;
static z_stream stream;

/* The block that is filled up, behind the dictionary of it. */
static unsigned char block[DICTIONARY + MAX_BLOCK];
static unsigned int block_size, filled, dictionary;
/* What became of the block before it: stored, it is longer by 5 bytes in 16 KiB at most. */
static unsigned char made[MAX_BLOCK + (MAX_BLOCK >> 8)];
static unsigned int made_length, given;
/* Of `input`. */
static unsigned int offered, taken;
static int level_wanted, strategy_wanted, finished;

static voidpf allocate(voidpf opaque, uInt items, uInt size) {
  (void)opaque;
  unsigned long long bytes = ((unsigned long long)items * size + 63) & ~63ull;
  if (bytes > ARENA - used) return Z_NULL;
  voidpf piece = arena + used;
  used += (unsigned int)bytes;
  return piece;
}

static void release(voidpf opaque, voidpf piece) {
  (void)opaque;
  (void)piece;
}

static void copy(unsigned char *to, const unsigned char *from, unsigned int length) {
  __builtin_memmove(to, from, length);
}

EXPORT("input") unsigned char *input_buffer(void) { return input; }
EXPORT("output") unsigned char *output_buffer(void) { return output; }
EXPORT("bufferSize") int buffer_size(void) { return BUFFER; }

EXPORT("start") int start(int level, int size, int mem_level, int strategy) {
  used = filled = dictionary = made_length = given = offered = taken = 0;
  finished = 0;
  if (level < 0 || level > 9 || size < DICTIONARY || size > MAX_BLOCK) return Z_STREAM_ERROR;
  level_wanted = level;
  strategy_wanted = strategy;
  block_size = (unsigned int)size;
  for (unsigned int i = 0; i < sizeof stream; i++) ((unsigned char *)&stream)[i] = 0;
  stream.zalloc = allocate;
  stream.zfree = release;
  return deflateInit2(&stream, LEVEL_OF_INIT, Z_DEFLATED, -15, mem_level, strategy);
}

EXPORT("feed") void feed(int length) {
  offered = (unsigned int)length;
  taken = 0;
}

static int run(int flush) {
  int status = deflate(&stream, flush);
  return status < 0 && status != Z_BUF_ERROR ? status : Z_OK;
}

/* Deflates the block, and makes its end the dictionary of the next. */
static int deflate_block(int more) {
  int status = deflateReset(&stream);
  if (status == Z_OK) status = deflateParams(&stream, level_wanted, strategy_wanted);
  if (status == Z_OK && dictionary > 0)
    status = deflateSetDictionary(&stream, block + DICTIONARY - dictionary, dictionary);
  if (status != Z_OK) return status;
  stream.next_in = block + DICTIONARY;
  stream.avail_in = filled;
  stream.next_out = made;
  stream.avail_out = sizeof made;
  status = run(more ? Z_BLOCK : Z_FINISH);
  if (more && status == Z_OK) {
    int bits = 0;
    deflatePending(&stream, Z_NULL, &bits);
    if (bits & 1) {
      status = run(Z_SYNC_FLUSH);
    } else if (bits & 7) {
      do {
        status = deflatePrime(&stream, 10, 2);
        deflatePending(&stream, Z_NULL, &bits);
      } while (status == Z_OK && (bits & 7));
      if (status == Z_OK) status = run(Z_BLOCK);
    }
  }
  if (status != Z_OK) return status;
  if (stream.avail_out == 0) return Z_BUF_ERROR;
  made_length = sizeof made - stream.avail_out;
  given = 0;
  dictionary = filled < DICTIONARY ? filled : DICTIONARY;
  copy(block + DICTIONARY - dictionary, block + DICTIONARY + filled - dictionary, dictionary);
  filled = 0;
  return Z_OK;
}

EXPORT("step") int step(int flush) {
  unsigned int length = 0;
  for (;;) {
    unsigned int part = made_length - given;
    if (part > BUFFER - length) part = BUFFER - length;
    copy(output + length, made + given, part);
    given += part;
    length += part;
    if (length == BUFFER) return BUFFER;
    int status = Z_OK;
    if (taken < offered) {
      /* That more follows a full block is known only now. */
      if (filled == block_size) {
        status = deflate_block(1);
      } else {
        part = block_size - filled;
        if (part > offered - taken) part = offered - taken;
        copy(block + DICTIONARY + filled, input + taken, part);
        filled += part;
        taken += part;
      }
    } else if (flush == Z_FINISH && !finished) {
      finished = 1;
      status = deflate_block(0);
    } else {
      return (int)length;
    }
    if (status != Z_OK) return status;
  }
}
