package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http/httputil"
	"strconv"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 1 << 20

// response is an answer, read into memory that the next one uses again.
type response struct {
	status int
	body   []byte
	// last says that the server closes the connection.
	last bool

	length  int
	chunked bool
}

// read reads one answer. It knows what our servers send and refuses the rest: the standard reader costs several times
// as much, and the generator's CPU is taken from the systems it measures.
func (a *response) read(r *bufio.Reader) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
		return fmt.Errorf("status line %q", line)
	}
	if a.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return fmt.Errorf("status line %q", line)
	}
	if err := a.readHeader(r); err != nil {
		return err
	}
	return a.readBody(r)
}

func (a *response) readHeader(r *bufio.Reader) error {
	a.length, a.chunked, a.last = -1, false, false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			return nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if a.length, err = strconv.Atoi(string(value)); err != nil || a.length < 0 || a.length > maxAnswer {
				return fmt.Errorf("content-length %q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			a.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			a.last = bytes.EqualFold(value, []byte("close"))
		}
	}
}

func (a *response) readBody(r *bufio.Reader) error {
	switch {
	case a.chunked:
		var err error
		if a.body, err = io.ReadAll(io.LimitReader(httputil.NewChunkedReader(r), maxAnswer)); err != nil {
			return err
		}
		_, err = r.Discard(2) // the empty line after the last chunk; our servers send no trailers
		return err
	case a.length >= 0:
		if cap(a.body) < a.length {
			a.body = make([]byte, a.length)
		}
		a.body = a.body[:a.length]
		_, err := io.ReadFull(r, a.body)
		return err
	}
	return errors.New("an answer without a length")
}
