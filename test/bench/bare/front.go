package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	maxBody = 256 << 10
	// patience is how long a caller waits for its answer.
	patience = 30 * time.Second
	// replyHeader names the subject that the caller's front listens on.
	replyHeader = "Reply"
)

// front turns a request into an event, and the reply to it into the answer.
type front struct {
	js     jetstream.JetStream
	prefix string

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan []byte
}

func runFront(ctx context.Context, js jetstream.JetStream, addr string, stdout io.Writer) error {
	if _, err := theStream(ctx, js); err != nil {
		return fmt.Errorf("stream: %w", err)
	}
	f := &front{js: js, prefix: "rsp." + nats.NewInbox()[len(nats.InboxPrefix):] + ".", waiting: map[uint64]chan []byte{}}
	sub, err := js.Conn().Subscribe(f.prefix+"*", f.reply)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()

	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: f, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	_, _ = fmt.Fprintf(stdout, "http://%s/\n", ln.Addr())

	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return errors.Join(srv.Shutdown(leaving), srv.Close())
}

// ServeHTTP answers once the event is stored and its reply has come.
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil || strings.ContainsRune(string(body), '\n') {
		http.Error(w, "one line, please", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()

	number, reply := f.await()
	defer f.forget(number)
	answer, err := f.ask(ctx, body, number, reply)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	_, _ = w.Write(answer)
}

func (f *front) ask(ctx context.Context, body []byte, number uint64, reply <-chan []byte) ([]byte, error) {
	stored, err := f.js.PublishMsgAsync(&nats.Msg{
		Subject: subject,
		Header:  nats.Header{replyHeader: []string{f.prefix + strconv.FormatUint(number, 36)}},
		Data:    body,
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-stored.Ok():
	case err := <-stored.Err():
		return nil, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case answer := <-reply:
		return answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *front) await() (uint64, <-chan []byte) {
	reply := make(chan []byte, 1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	f.waiting[f.last] = reply
	return f.last, reply
}

func (f *front) forget(number uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.waiting, number)
}

func (f *front) reply(m *nats.Msg) {
	number, err := strconv.ParseUint(m.Subject[len(f.prefix):], 36, 64)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if reply, ok := f.waiting[number]; ok {
		delete(f.waiting, number) // a second reply finds nobody, so the send below never blocks
		reply <- m.Data
	}
}
