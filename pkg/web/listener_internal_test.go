package web

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
)

// Who had connected when a listener was closed is served all the same.
func TestAListenerClosesOnNobody(t *testing.T) {
	t.Parallel()
	const clients = 5
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &listener{Listener: inner}
	served := clients
	if runtime.GOOS != "linux" {
		served = 0 // the kernel cuts them
	}
	var conns []net.Conn
	for range clients {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(conn, "ping")
		conns = append(conns, conn)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for range served {
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(conn, conn, int64(len("ping"))); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the last it gives %v", err)
	}
	for _, conn := range conns[:served] {
		if echo, err := io.ReadAll(conn); string(echo) != "ping" || err != nil {
			t.Errorf("a client got %q, %v", echo, err)
		}
		_ = conn.Close()
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("closed again: %v", err)
	}
}
