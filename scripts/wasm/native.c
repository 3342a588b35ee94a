/*
 * Deflates a file with the native build of a deflater, all optimisations of the CPU on, for each
 * set of parameters that a line of standard input names (level windowBits memLevel strategy), and
 * writes the streams one after the other to numbered files.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zlib.h"

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  FILE *file = fopen(argv[1], "rb");
  static unsigned char input[1 << 20], output[2 << 20];
  size_t length = file ? fread(input, 1, sizeof input, file) : 0;
  int level, window_bits, mem_level, strategy;
  while (scanf("%d %d %d %d", &level, &window_bits, &mem_level, &strategy) == 4) {
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    if (deflateInit2(&stream, level, Z_DEFLATED, window_bits, mem_level, strategy) != Z_OK) return 3;
    stream.next_in = input;
    stream.avail_in = (uInt)length;
    stream.next_out = output;
    stream.avail_out = sizeof output;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) return 4;
    char name[4096];
    snprintf(name, sizeof name, "%s/%d,%d,%d,%d", argv[2], level, window_bits, mem_level, strategy);
    FILE *out = fopen(name, "wb");
    if (!out || fwrite(output, 1, stream.total_out, out) != stream.total_out || fclose(out)) return 5;
    deflateEnd(&stream);
  }
  return 0;
}
