package web

import (
	"errors"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// closeEmpty closes, and accepts whoever waits until the last moment: the socket is kept open by a copy until net has
// closed its own, which takes as long as the goroutine that accepts takes to wake up.
func closeEmpty(ln net.Listener) ([]net.Conn, error) {
	socket, err := copyOf(ln)
	if err != nil {
		return nil, ln.Close() // of another kind, or closed already
	}
	err = ln.Close()
	sockets := acceptAll(socket)
	_ = unix.Close(socket)
	return connsOf(sockets), err
}

func copyOf(ln net.Listener) (socket int, err error) {
	own, ok := ln.(syscall.Conn)
	if !ok {
		return 0, net.ErrClosed
	}
	raw, err := own.SyscallConn()
	if err != nil {
		return 0, err
	}
	failed := raw.Control(func(fd uintptr) { socket, err = unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0) })
	return socket, errors.Join(failed, err)
}

func acceptAll(fd int) (sockets []int) {
	for {
		socket, _, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch err {
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
