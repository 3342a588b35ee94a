// The exports of ../deflate.c, over Go's deflaters: that of its own library and that of klauspost/compress,
// which containers/image, umoci and others reach through klauspost/pgzip. A WASI reactor.
package main

import (
	"compress/flate"
	"io"
	"unsafe"

	klauspost "github.com/klauspost/compress/flate"
)

const (
	bufferSize = 1 << 20
	// Of a block, that the next one may refer to: pgzip's tailSize.
	tailSize = 16384
)

const (
	kindGo = iota
	kindKlauspost
)

// What a recipe's parameters come to.
type setting struct{ kind, level int32 }

type writer interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

var (
	input, output [bufferSize]byte
	offered       int
	pending       buffer

	current   writer
	writers   = map[setting]writer{}
	blockSize int
	block     []byte
	tail      []byte
	closed    bool
)

type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

//go:wasmexport input
func inputBuffer() unsafe.Pointer { return unsafe.Pointer(&input) }

//go:wasmexport output
func outputBuffer() unsafe.Pointer { return unsafe.Pointer(&output) }

//go:wasmexport bufferSize
func bufferBytes() int32 { return bufferSize }

// Starts a raw stream. `inBlocks` 0: of one piece; else flushed after as many bytes, as pgzip does. The
// fourth argument is there for the sake of deflate.c.
//
//go:wasmexport start
func start(level, kind, inBlocks, _ int32) int32 {
	key := setting{kind, level}
	pending, offered, closed = pending[:0], 0, false
	blockSize, block, tail = int(inBlocks), block[:0], tail[:0]
	if blockSize != 0 && (blockSize <= tailSize || kind != kindKlauspost) {
		return -2
	}
	current = writers[key]
	if current == nil {
		made, err := open(key)
		if err != nil {
			return -2
		}
		writers[key] = made
		current = made
	}
	current.Reset(&pending)
	return 0
}

func open(key setting) (writer, error) {
	if key.level < 0 || key.level > 9 {
		return nil, io.ErrUnexpectedEOF
	}
	if key.kind == kindGo {
		return flate.NewWriter(&pending, int(key.level))
	}
	return klauspost.NewWriter(&pending, int(key.level))
}

//go:wasmexport feed
func feed(length int32) { offered = int(length) }

//go:wasmexport step
func step(flush int32) int32 {
	if err := take(input[:offered], flush != 0); err != nil {
		return -2
	}
	offered = 0
	n := copy(output[:], pending)
	pending = pending[:copy(pending, pending[n:])]
	return int32(n)
}

func take(bytes []byte, last bool) error {
	if closed {
		return nil
	}
	if blockSize == 0 {
		if _, err := current.Write(bytes); err != nil {
			return err
		}
	}
	for blockSize > 0 && len(bytes) > 0 {
		n := min(len(bytes), blockSize-len(block))
		block = append(block, bytes[:n]...)
		bytes = bytes[n:]
		if len(block) == blockSize {
			if err := compressBlock(false); err != nil {
				return err
			}
		}
	}
	if !last {
		return nil
	}
	closed = true
	if blockSize > 0 {
		return compressBlock(true)
	}
	return current.Close()
}

// pgzip's compressBlock: each block is a stream of its own, with the end of the one before as dictionary.
func compressBlock(last bool) error {
	w := current.(*klauspost.Writer)
	w.ResetDict(&pending, tail)
	if _, err := w.Write(block); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	tail = tail[:0]
	if len(block) > tailSize {
		tail = append(tail, block[len(block)-tailSize:]...)
	}
	block = block[:0]
	if last {
		return w.Close()
	}
	return nil
}

func main() {}
