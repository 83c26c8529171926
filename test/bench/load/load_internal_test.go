package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
)

func TestLoadCountsOnlyEchoesOfItsOwnNonce(t *testing.T) {
	t.Parallel()
	echo := func(w http.ResponseWriter, body []byte) {
		_, _ = w.Write(bytes.ReplaceAll(body, []byte("nonce"), []byte("echo")))
	}
	var first []byte
	var gone atomic.Bool
	for name, tt := range map[string]struct {
		answer func(w http.ResponseWriter, body []byte)
		total  int
		errors figures.Errors
	}{
		"right answers": {answer: echo, total: 20},
		"an answer from a cache": {answer: func(w http.ResponseWriter, body []byte) {
			if first == nil {
				first = bytes.Clone(body)
			}
			echo(w, first)
		}, total: 1, errors: figures.Errors{Echo: 19}},
		"an error with the echo": {answer: func(w http.ResponseWriter, body []byte) {
			w.WriteHeader(http.StatusBadGateway)
			echo(w, body)
		}, errors: figures.Errors{Status: 20}},
		"chunks": {answer: func(w http.ResponseWriter, body []byte) {
			_, _ = w.Write(body[:5])
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(body[5:])
		}, total: 20},
		"a connection closed after each": {answer: func(w http.ResponseWriter, body []byte) {
			w.Header().Set("Connection", "close")
			echo(w, body)
		}, total: 20},
		"a connection cut once": {answer: func(w http.ResponseWriter, body []byte) {
			if gone.CompareAndSwap(false, true) {
				panic(http.ErrAbortHandler)
			}
			echo(w, body)
		}, total: 19, errors: figures.Errors{Transport: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Header.Get("X-Bench") != "yes" {
					t.Errorf("headers %v", r.Header)
				}
				tt.answer(w, body)
			}))
			defer srv.Close()

			seen := loaded(t, "-url", srv.URL+"/e/en1", "-header", "X-Bench: yes", "-requests", "20")

			seen.Errors.First = ""
			if seen.Total != tt.total || seen.Errors != tt.errors {
				t.Errorf("got %d right and %+v, want %d and %+v", seen.Total, seen.Errors, tt.total, tt.errors)
			}
		})
	}
}

func TestTheWarmupIsNotMeasured(t *testing.T) {
	t.Parallel()
	from := time.Now()
	c := newClient(request{}, window{from: from, until: from.Add(time.Second)}, nil)
	c.answer = response{status: http.StatusOK, body: c.nonce[:]}

	for _, ended := range []time.Duration{-time.Millisecond, 0, 500 * time.Millisecond, time.Second - 1, time.Second} {
		c.count(from.Add(ended-10*time.Millisecond), from.Add(ended))
	}
	seen := sum([]*client{c}, time.Second)

	if seen.Total != 5 || seen.Measured != 3 || seen.Rate != 3 || seen.P50 != 10 || seen.P99 != 10 {
		t.Errorf("got %+v, want 3 of 5 measured", seen)
	}
	if seen.Histogram[16384] != 3 || seen.Statuses[http.StatusOK] != 5 {
		t.Errorf("got %v and %v", seen.Histogram, seen.Statuses)
	}
}

func TestResponseRefuses(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"another protocol":      "SSH-2.0-OpenSSH_9.2\r\n",
		"a status of letters":   "HTTP/1.1 abc OK\r\n\r\n",
		"no length":             "HTTP/1.1 200 OK\r\n\r\nbody",
		"a negative length":     "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"an immense length":     "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"a body that is cut":    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
		"headers without end":   "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n",
		"nothing":               "",
		"a chunk without bytes": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a response
			if err := a.read(bufio.NewReader(strings.NewReader(raw))); err == nil {
				t.Errorf("read as %d %q", a.status, a.body)
			}
		})
	}
}

func TestRequestRefuses(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"a body without a nonce":    {"-url", "http://127.0.0.1:1/", "-body", "{}"},
		"another scheme":            {"-url", "https://127.0.0.1:1/"},
		"no port":                   {"-url", "http://localhost/"},
		"a header without a colon":  {"-url", "http://127.0.0.1:1/", "-header", "bearer"},
		"no clients":                {"-url", "http://127.0.0.1:1/", "-clients", "0"},
		"a header file not there":   {"-url", "http://127.0.0.1:1/", "-header-file", "/does/not/exist"},
		"an option that is unknown": {"-frequency", "3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := run(t.Context(), args, io.Discard); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func loaded(t *testing.T, args ...string) figures.Load {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	var seen figures.Load
	if err := json.Unmarshal(out.Bytes(), &seen); err != nil {
		t.Fatal(err)
	}
	return seen
}
