package web

import (
	"net"
	"sync"
)

// listener serves also those who had connected when it was closed: the kernel cuts whoever waits to be accepted, after
// that client may have sent a request.
type listener struct {
	net.Listener

	mu      sync.Mutex
	waiting []net.Conn
}

// Accept gives, after Close, whoever had connected before it, and only then the error.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		return conn, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 {
		return nil, err
	}
	conn, l.waiting = l.waiting[0], l.waiting[1:]
	return conn, nil
}

// Close takes those who wait, and closes the listener at once after the last of them.
func (l *listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	conns, err := closeEmpty(l.Listener)
	l.waiting = append(l.waiting, conns...)
	return err
}
