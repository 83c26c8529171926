package sandbox

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// protocol is the version of the conversation that this release speaks.
const protocol = 1

// maxFrame bounds what a guest may say at once: exports of at most 6 MiB, a response and the last logs.
const maxFrame = 8 << 20

// maxSent bounds what a guest is told at once: the exports of all steps before, and the event.
const maxSent = 64 << 20

// headerSize is the length in front of each frame: 4 bytes, big-endian.
const headerSize = 4

// The types of frames. What a guest sends: hello first, logs while it runs, one result a run, retire when it should be
// given no further run. What it is sent: source, run. Either side answers an unknown type with unsupported.
const (
	typeHello       = "hello"
	typeLogs        = "logs"
	typeResult      = "result"
	typeRetire      = "retire"
	typeUnsupported = "unsupported"
)

// frame is what a guest may say, all types in one.
type frame struct {
	Type string `json:"type"`

	Protocol int    `json:"protocol"`
	Version  string `json:"version"`

	ID       uint64            `json:"id"`
	Exports  json.RawMessage   `json:"exports"`
	Response *Response         `json:"response"`
	Exit     *behalf.Exit      `json:"exit"`
	Err      *behalf.StepError `json:"error"`
	Logs     []logLine         `json:"logs"`
	// Last says that the guest should be given no further run.
	Last bool `json:"last"`
}

// Response is an HTTP answer as a guest sends it: Text, or Binary.
type Response struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Text    string            `json:"text"`
	Binary  []byte            `json:"base64"`
	// Immediate says that the caller shall not wait for the rest of the run.
	Immediate bool `json:"immediate"`
}

type logLine struct {
	At     int64  `json:"at"` // milliseconds since 1970
	Stream string `json:"stream"`
	Text   string `json:"text"`
}

// errEnd is the end of the conversation between two frames: the guest is gone, and broke no rule.
var errEnd = errors.New("the guest closed its end")

// frameReader reads the frames of a guest. Whatever it reads is untrusted.
type frameReader struct{ r *bufio.Reader }

func newFrameReader(r io.Reader) *frameReader {
	return &frameReader{bufio.NewReaderSize(r, 16<<10)}
}

// next reads one frame. errEnd is the orderly end; every other error is a broken conversation, after which nothing more
// can be read.
func (r *frameReader) next() (frame, error) {
	body, err := r.body()
	if err != nil {
		return frame{}, err
	}
	var f frame
	if err := json.Unmarshal(body, &f); err != nil {
		return frame{}, fmt.Errorf("frame of %d bytes: %w", len(body), err)
	}
	if f.Type == "" {
		return frame{}, errors.New("frame without a type")
	}
	return f, nil
}

func (r *frameReader) body() ([]byte, error) {
	var header [headerSize]byte
	switch n, err := io.ReadFull(r.r, header[:]); {
	case n == 0:
		return nil, errEnd
	case err != nil:
		return nil, fmt.Errorf("header of a frame: %w", err)
	}
	size := int(binary.BigEndian.Uint32(header[:]))
	if size > maxFrame {
		return nil, fmt.Errorf("frame of %d bytes, at most %d are taken", size, maxFrame)
	}
	return r.read(size)
}

// read reads size bytes. It takes memory as they come, because a size alone is cheap to claim.
func (r *frameReader) read(size int) ([]byte, error) {
	const step = 64 << 10
	body := make([]byte, 0, min(size, step))
	for len(body) < size {
		if len(body) == cap(body) {
			body = slices.Grow(body, min(size-len(body), len(body)))
		}
		n, err := r.r.Read(body[len(body):min(size, cap(body))])
		body = body[:len(body)+n]
		if err != nil && len(body) < size {
			return nil, fmt.Errorf("frame of %d bytes ended after %d: %w", size, len(body), err)
		}
	}
	return body, nil
}

// openFrame begins a frame in a buffer; closeFrame writes its length. Between them the body is appended.
func openFrame(buf []byte) []byte { return append(buf, 0, 0, 0, 0) }

// closeFrame ends the frame that began at start. It refuses one that the other side would not take.
func closeFrame(buf []byte, start int) error {
	size := len(buf) - start - headerSize
	if size > maxSent {
		return fmt.Errorf("frame of %d bytes, at most %d are sent", size, maxSent)
	}
	binary.BigEndian.PutUint32(buf[start:], uint32(size)) //nolint:gosec // G115: bounded above
	return nil
}
