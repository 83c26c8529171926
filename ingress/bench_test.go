package ingress_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// discard is a response writer that costs nothing, so that the benchmark shows our own share.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             { clear(d.h) }

// quick answers at once and keeps nothing.
type quick struct {
	*bus

	results chan behalf.Result
}

func (q quick) Await() (string, <-chan behalf.Result, func()) { return "rsp.x.y", q.results, func() {} }

func BenchmarkInvoke(b *testing.B) {
	w := newWorld(behalf.AuthOAuth, behalf.RespondCustom)
	q := quick{w.bus, make(chan behalf.Result, 1)}
	result := behalf.Result{State: behalf.StateOK, Response: &behalf.Response{Text: `{"ok":true}`}, Timing: timing}
	w.bus.publish = func(_ context.Context, _ func()) error {
		q.results <- result
		return nil
	}
	s := w.serverOn(q)
	const body = `{"slackChannel":"C1","messageText":"hello from the other side"}`
	r := request(http.MethodPost, "", oauth+user+"Content-Type: application/json\nAccept: */*\nUser-Agent: bench\nX-Pd-Environment: production", body)
	reader := strings.NewReader(body)
	r.Body = io.NopCloser(reader)
	out := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		reader.Reset(body)
		s.ServeHTTP(out, r)
	}
}
