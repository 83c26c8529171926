package ingress_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// packed is text as a compressor writes it.
func packed(open func(io.Writer) io.WriteCloser, text string) string {
	var b bytes.Buffer
	w := open(&b)
	_, _ = io.WriteString(w, text) // to memory, which takes all
	_ = w.Close()
	return b.String()
}

func gzipped(text string) string {
	return packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, text)
}

func zlibbed(text string) string {
	return packed(func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) }, text)
}

func deflated(text string) string {
	return packed(func(w io.Writer) io.WriteCloser {
		f, _ := flate.NewWriter(w, flate.BestCompression) // a level that there is
		return f
	}, text)
}

func TestCompressedBodies(t *testing.T) {
	t.Parallel()
	const json = "Content-Type: application/json\nContent-Encoding: "
	long := `{"a":"` + strings.Repeat("x", 200<<10) + `"}`
	for name, c := range map[string]struct{ headers, body, want string }{
		"as it is":                {json + "Identity", `{"a":1}`, `{"a":1}`},
		"gzip":                    {json + "gzip", gzipped(`{"a":1}`), `{"a":1}`},
		"gzip, upper-case":        {json + "GZIP", gzipped(`{"a":1}`), `{"a":1}`},
		"gzip by its old name":    {json + "x-gzip", gzipped(`{"a":1}`), `{"a":1}`},
		"gzip in two members":     {json + "gzip", gzipped(`{"a"`) + gzipped(`:1}`), `{"a":1}`},
		"deflate":                 {json + "deflate", zlibbed(`{"a":1}`), `{"a":1}`},
		"deflate without a frame": {json + "deflate", deflated(`{"a":1}`), `{"a":1}`},
		"much in little":          {json + "gzip", gzipped(long), long},
		"nothing in something":    {json + "gzip", gzipped(""), ""},
		"no body":                 {json + "gzip", "", ""},
		"a form":                  {urlencoded + "\nContent-Encoding: gzip", gzipped("a=1"), `{"a":"1"}`},
		"bytes":                   {"Content-Encoding: deflate", zlibbed("\xff"), `"/w==","body_encoding":"base64"`},
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		if got := bodyOf(t, w, request(http.MethodPost, "", c.headers, c.body)); got != c.want {
			t.Errorf("%s: body %s, want %s", name, got, c.want)
		}
	}
}

func TestRefusedCompressedBodies(t *testing.T) {
	t.Parallel()
	const coding = "Content-Encoding must be gzip or deflate, and one of them; send the body as it is otherwise"
	const broken = "The body is not what its Content-Encoding says"
	text := strings.Repeat("abcdefgh", 100)
	badSum := []byte(gzipped(text))
	badSum[len(badSum)-6] ^= 1
	for name, c := range map[string]struct{ headers, body, text string }{
		"zstd":                {"Content-Encoding: zstd", "x", coding},
		"br":                  {"Content-Encoding: br", "x", coding},
		"compress":            {"Content-Encoding: compress", "x", coding},
		"no name":             {"Content-Encoding: ", "x", coding},
		"two in one":          {"Content-Encoding: gzip, gzip", gzipped(gzipped(text)), coding},
		"two headers":         {"Content-Encoding: identity\nContent-Encoding: gzip", gzipped(text), coding},
		"no gzip":             {"Content-Encoding: gzip", "x", broken},
		"a head of it":        {"Content-Encoding: gzip", "\x1f\x8b", broken},
		"JSON that says gzip": {"Content-Type: application/json\nContent-Encoding: gzip", `{"a":1}`, broken},
		"gzip that was cut":   {"Content-Encoding: gzip", gzipped(text)[:20], broken},
		"gzip without an end": {"Content-Encoding: gzip", gzipped(text)[:len(gzipped(text))-4], broken},
		"another checksum":    {"Content-Encoding: gzip", string(badSum), broken},
		"more behind gzip":    {"Content-Encoding: gzip", gzipped(text) + "x", broken},
		"more behind deflate": {"Content-Encoding: deflate", zlibbed(text) + "x", broken},
		"more behind that":    {"Content-Encoding: deflate", deflated(text) + "x", broken},
		"deflate that is cut": {"Content-Encoding: deflate", deflated(text)[:5], broken},
		"gzip for deflate":    {"Content-Encoding: deflate", gzipped(text), broken},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
			check(t, w.send(request(http.MethodPost, "", c.headers, c.body)), row{status: 400, code: "request_invalid", text: c.text})
			if len(w.bus.stored()) > 0 {
				t.Error("an event was stored")
			}
		})
	}
}

// A few bytes that say they are gigabytes cost no more than what may be sent as it is.
func TestABombIsNotUnpacked(t *testing.T) { //nolint:paralleltest // it measures what the process takes
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 40 {
		_, _ = w.Write(zeros) // to memory, which takes all
	}
	_ = w.Close()
	for name, body := range map[string]string{"gzip": b.String(), "deflate": zlibbed(strings.Repeat("\x00", 40<<20))} {
		world := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		s, r := world.server(), request(http.MethodPost, "", "Content-Encoding: "+name, body)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		res := serve(s, r)
		runtime.ReadMemStats(&after)
		check(t, res, row{status: 413, code: "body_too_large", text: "Body too large: an event may have 262144 bytes"})
		if took := after.TotalAlloc - before.TotalAlloc; took > 2<<20 || len(world.bus.stored()) > 0 {
			t.Errorf("%s: %d bytes were taken, and %d events stored", name, took, len(world.bus.stored()))
		}
	}
}
