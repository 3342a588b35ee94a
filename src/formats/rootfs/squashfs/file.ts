import { MAX_FILE_SIZE, type Piece, type RootFile, type Unit } from '../root-files.ts';
import { badSquashfs } from './bad.ts';
import { dataUnit, type Layout, storedSize } from './block.ts';
import type { FileNode, Tables } from './tables.ts';

/** 128 GiB in blocks of the usual size. */
const MAX_BLOCKS = 1 << 20;

/** A file of the image: its consecutive blocks and its tail. */
export function rootFile(layout: Layout, tables: Tables, node: FileNode): RootFile {
  const { blockSize } = layout;
  const { size, fragment, blocks } = node;
  if (size > MAX_FILE_SIZE) throw badSquashfs(`a file of ${size} bytes`, node.start);
  if (blocks > MAX_BLOCKS) throw badSquashfs(`a file of ${blocks} blocks`, node.start);
  // Block sizes are a list without index, so the part that was read is kept for the next lookup.
  const sizes: number[] = [];
  const offsets: number[] = [];
  let next = node.start;

  function reach(index: number): void {
    while (sizes.length <= index) {
      const field = node.block(sizes.length);
      sizes.push(field);
      offsets.push(next);
      next += storedSize(field);
    }
  }

  function* pieces(from: number, to: number): Generator<Piece> {
    const end = Math.min(to, size);
    if (from >= end) return;
    for (let index = Math.floor(from / blockSize); index * blockSize < end; index++) {
      const at = index * blockSize;
      const length = Math.min(blockSize, size - at);
      if (index === blocks) {
        if (!fragment || fragment.offset + length > blockSize) {
          throw badSquashfs('a tail reaches beyond its fragment block', node.start);
        }
        const unit = fragmentUnit(layout, tables, fragment.index);
        yield { start: at, length, unit, unitOffset: fragment.offset };
        return;
      }
      reach(index);
      const unit = dataUnit(layout, offsets[index] ?? 0, sizes[index] ?? 0);
      if (unit === undefined) continue;
      if (unit.codec === 'none' && unit.stored !== length) {
        throw badSquashfs(`a block of ${unit.stored} bytes that should have ${length}`, node.start);
      }
      yield { start: at, length, unit: { ...unit, length }, unitOffset: 0 };
    }
  }

  return { size, pieces };
}

/** It unpacks to `blockSize` bytes or fewer. */
function fragmentUnit(layout: Layout, tables: Tables, index: number): Unit {
  const found = tables.fragment(index);
  const unit = found && dataUnit(layout, found.offset, found.field);
  if (unit === undefined) throw badSquashfs(`fragment ${index} does not exist`, 0);
  return { ...unit, length: layout.blockSize, exact: false };
}
