package web

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// closeEmpty accepts until nobody waits, and closes.
func closeEmpty(ln net.Listener) ([]net.Conn, error) {
	var sockets []int
	if socket, ok := ln.(syscall.Conn); ok {
		if raw, err := socket.SyscallConn(); err == nil {
			_ = raw.Control(func(fd uintptr) { sockets = acceptAll(int(fd)) }) // a closed one has nobody
		}
	}
	err := ln.Close()
	return connsOf(sockets), err
}

func acceptAll(fd int) (sockets []int) {
	for {
		socket, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err { //nolint:errorlint // a number of the kernel's
		case nil:
			sockets = append(sockets, socket)
		case unix.EINTR, unix.ECONNABORTED:
		default:
			return sockets
		}
	}
}

func connsOf(sockets []int) (conns []net.Conn) {
	for _, socket := range sockets {
		file := os.NewFile(uintptr(socket), "accepted")
		if conn, err := net.FileConn(file); err == nil {
			conns = append(conns, conn)
		}
		_ = file.Close() // the connection has a copy
	}
	return conns
}
