package sandbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func encoded(text string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...)
}

func TestFramesAreReadOneByOne(t *testing.T) {
	t.Parallel()
	stream := append(encoded(`{"type":"hello","protocol":1}`), encoded(`{"type":"result","id":7,"exports":{"a":1},"unknown":true}`)...)
	for name, r := range map[string]io.Reader{
		"in one piece": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)),
	} {
		frames := newFrameReader(r)
		hello, err := frames.next()
		if err != nil || hello.Type != typeHello || hello.Protocol != 1 {
			t.Errorf("%s: %+v, %v", name, hello, err)
		}
		result, err := frames.next()
		if err != nil || result.ID != 7 || string(result.Exports) != `{"a":1}` {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
		if _, err := frames.next(); !errors.Is(err, errEnd) {
			t.Errorf("%s: after the last frame %v", name, err)
		}
	}
}

func TestBrokenFramesAreRefused(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"half a header":     "\x00\x00",
		"an empty frame":    "\x00\x00\x00\x00",
		"a frame too large": "\x00\x80\x00\x01{}",
		"half a frame":      "\x00\x00\x00\x10{\"type\"",
		"no JSON":           string(encoded("hello")),
		"no object":         string(encoded("[]")),
		"no type":           string(encoded(`{"id":1}`)),
		"a wrong type":      string(encoded(`{"type":"result","id":"x"}`)),
		"JSON nested absurdly": string(encoded(`{"type":"result","exports":` +
			strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`)),
	} {
		if f, err := newFrameReader(strings.NewReader(in)).next(); err == nil || errors.Is(err, errEnd) {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

func TestALargeFrameIsReadWhole(t *testing.T) {
	t.Parallel()
	text := `{"type":"result","exports":{"x":"` + strings.Repeat("x", maxFrame-100) + `"}}`
	f, err := newFrameReader(bytes.NewReader(encoded(text))).next()
	if err != nil || len(f.Exports) < maxFrame-100 {
		t.Errorf("%d bytes, %v", len(f.Exports), err)
	}
}

// Whatever a guest writes, the reader takes it as a frame that its own encoding gives back, or refuses it; and it never
// takes memory that the guest has not sent.
func FuzzFrameReader(f *testing.F) {
	f.Add(encoded(`{"type":"hello","protocol":1,"version":"24.0.0"}`))
	f.Add(encoded(`{"type":"result","id":1,"exports":{"a":[1,"é"]},"response":{"status":200,"base64":"AA=="},"logs":[{"at":1,"stream":"stderr","text":"x"}],"last":true}`))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Add([]byte("\x00\x7f\xff\xff{"))
	f.Fuzz(func(t *testing.T, in []byte) {
		frames := newFrameReader(bytes.NewReader(in))
		for read := 0; ; {
			body, err := frames.body()
			if err != nil {
				return
			}
			if cap(body) > 2*len(in)+128<<10 {
				t.Fatalf("%d bytes taken for %d sent", cap(body), len(in))
			}
			if read += headerSize + len(body); read > len(in) {
				t.Fatalf("%d bytes read of %d", read, len(in))
			}
			one, err := newFrameReader(bytes.NewReader(encoded(string(body)))).next()
			if err != nil {
				continue
			}
			if !json.Valid(body) || one.Type == "" {
				t.Fatalf("%q was taken", body)
			}
		}
	})
}

func TestAJobIsTwoFramesAtFirstAndThenOne(t *testing.T) {
	t.Parallel()
	job := Job{Key: Key{Version: "d_1"}, File: `a "b".mjs`, Source: "x\n", Body: []byte(`"steps":{},`)}
	both, err := job.appendFrames(nil, 3, true)
	if err != nil {
		t.Fatal(err)
	}
	source := `{"type":"source","version":"d_1","file":"a \"b\".mjs","source":"x\n"}`
	run := `{"type":"run","steps":{},"version":"d_1","file":"a \"b\".mjs","id":3}`
	if want := append(encoded(source), encoded(run)...); !bytes.Equal(both, want) {
		t.Errorf("got %q, want %q", both, want)
	}
	one, err := job.appendFrames(nil, 3, false)
	if err != nil || !bytes.Equal(one, encoded(run)) {
		t.Errorf("got %q, %v", one, err)
	}
	job.Body = make([]byte, maxSent)
	if _, err := job.appendFrames(nil, 3, false); err == nil {
		t.Error("a frame too large is sent")
	}
}
