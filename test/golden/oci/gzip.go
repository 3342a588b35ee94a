// Compresses standard input with the library that its argument names: `go` for Go's own, `pgzip` for klauspost's.
package main

import (
	"compress/gzip"
	"io"
	"os"

	"github.com/klauspost/pgzip"
)

func main() {
	var writer io.WriteCloser = gzip.NewWriter(os.Stdout)
	if os.Args[1] == "pgzip" {
		writer = pgzip.NewWriter(os.Stdout)
	}
	if _, err := io.Copy(writer, os.Stdin); err != nil {
		panic(err)
	}
	if err := writer.Close(); err != nil {
		panic(err)
	}
}
