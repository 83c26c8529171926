package web_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/behalf-dev/behalf/pkg/web"
)

// spoken tells what a handler sees of its request.
var spoken = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = fmt.Fprintf(w, "%s %v", r.Proto, r.TLS != nil && r.TLS.HandshakeComplete)
})

func TestBothProtocolsAreSpokenOverTLS(t *testing.T) {
	t.Parallel()
	addr := serve(t, spoken, web.ServerConfig{TLS: certificate(t)}).addr
	for want, h2 := range map[string]bool{"HTTP/2.0 true": true, "HTTP/1.1 true": false} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2}
		t.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
		for range 2 { // the second on the same connection
			resp, err := client.Get("https://" + addr)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if err != nil || string(body) != want {
				t.Errorf("got %q, %v, want %q", body, err, want)
			}
		}
	}
	if plain, err := http.Get("http://" + addr); err != nil || plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain http to it: %v, %v", plain, err)
	} else {
		_ = plain.Body.Close()
	}
}

// Whoever connects and says nothing holds up nobody, and not for long.
func TestAHandshakeThatDoesNotComeHoldsUpNobody(t *testing.T) {
	t.Parallel()
	addr := serve(t, spoken, web.ServerConfig{TLS: certificate(t), ReadHeaderTimeout: time.Second}).addr
	silent := make([]net.Conn, 20)
	for i := range silent {
		silent[i] = dialed(t, addr, nil)
	}
	if statuses, body, _ := rawOn(t, dialed(t, addr, &tls.Config{}), "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1); len(statuses) != 1 || body != "HTTP/1.1 true" {
		t.Errorf("%v %q", statuses, body)
	}
	for _, conn := range silent {
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		var late net.Error
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.As(err, &late) && late.Timeout() {
			t.Errorf("it is held: %v", err)
		}
		_ = conn.Close()
	}
}

// Whoever is about to agree on TLS when the server leaves is served, as one who had connected in the open.
func TestAHandshakeUnderWayIsServedByOneWhoLeaves(t *testing.T) {
	t.Parallel()
	s := serve(t, spoken, web.ServerConfig{TLS: certificate(t), ReadHeaderTimeout: 30 * time.Second})
	begun := dialed(t, s.addr, nil)
	held := &holding{Conn: begun, release: make(chan struct{}), wrote: make(chan struct{})}
	secured := tls.Client(held, &tls.Config{InsecureSkipVerify: true})
	answer := make(chan string, 1)
	go func() {
		_, _ = io.WriteString(secured, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		line, _ := bufio.NewReader(secured).ReadString('\n')
		answer <- line
	}()
	<-held.wrote
	s.stop()
	waitRefused(t, s.addr)
	close(held.release)
	if line := <-answer; !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("answered %q", line)
	}
	if err := <-s.over; err != nil {
		t.Error(err)
	}
}

// holding is a connection that keeps back what comes until it is released.
type holding struct {
	net.Conn

	release, wrote chan struct{}
	began          bool
}

func (h *holding) Write(b []byte) (int, error) {
	n, err := h.Conn.Write(b)
	if !h.began {
		h.began = true
		close(h.wrote)
	}
	return n, err
}

func (h *holding) Read(b []byte) (int, error) {
	<-h.release
	return h.Conn.Read(b)
}
