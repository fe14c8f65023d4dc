package otlpjson

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
)

func newLines(stream io.Reader, limit int) *lineReader {
	buffered := bufio.NewReaderSize(stream, 64<<10)
	if magic, _ := buffered.Peek(2); string(magic) == "\x1f\x8b" {
		buffered = bufio.NewReaderSize(&unzipper{source: buffered}, 64<<10)
	}
	return &lineReader{source: buffered, limit: limit}
}

// unzipper reads members of gzip behind each other, with zeros between and behind them, as gzip itself does.
type unzipper struct {
	source *bufio.Reader
	member *gzip.Reader
}

// noGzip are bytes where a member of gzip should begin; it tells so in Python's words.
type noGzip []byte

func (n noGzip) Error() string { return "Not a gzipped file (b" + saidBytes(n) + ")" }

func (u *unzipper) Read(out []byte) (int, error) {
	for {
		if u.member == nil {
			if err := u.open(); err != nil {
				return 0, err
			}
		}
		count, err := u.member.Read(out)
		if errors.Is(err, io.EOF) {
			u.member = nil
			if count == 0 {
				continue
			}
			err = nil
		}
		return count, err
	}
}

// open begins the next member; io.EOF if there is none.
func (u *unzipper) open() error {
	for {
		letter, err := u.source.ReadByte()
		if err != nil {
			return err
		}
		if letter != 0 {
			break
		}
	}
	if err := u.source.UnreadByte(); err != nil {
		return err
	}
	if magic, err := u.source.Peek(2); err != nil || string(magic) != "\x1f\x8b" {
		return noGzip(bytes.Clone(magic))
	}
	member, err := gzip.NewReader(u.source)
	if err != nil {
		return noEOF(err)
	}
	member.Multistream(false)
	u.member = member
	return nil
}

// noEOF makes an end inside a member's header an unexpected one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// reasonOf says why a stream could not be read on.
func reasonOf(err error) string {
	var corrupt flate.CorruptInputError
	var path *fs.PathError
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "Compressed file ended before the end-of-stream marker was reached"
	case errors.As(err, &corrupt):
		return "Error -3 while decompressing data: " + corrupt.Error()
	case errors.Is(err, gzip.ErrChecksum):
		return "CRC check failed"
	case errors.As(err, &path):
		return path.Err.Error()
	}
	return err.Error()
}
