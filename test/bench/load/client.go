package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/behalf-dev/behalf/test/bench/figures"
)

// patience is how long a client waits for one answer. It is above the wait of any caller of ours.
const patience = 60 * time.Second

// client sends one request after another over one connection.
type client struct {
	request request
	window  window
	// left is how many requests all clients may still begin, nil for as many as fit into the window.
	left *atomic.Int64

	conn   net.Conn
	r      *bufio.Reader
	answer response

	nonce [nonceLen]byte
	sent  uint64

	seen      figures.Load
	latencies []time.Duration
}

// window is when to measure: answers that came before it are the warm-up.
type window struct {
	from, until time.Time
}

// run sends until the window closes, the requests are used up or the context ends.
func (c *client) run(ctx context.Context) {
	defer c.hangUp()
	for ctx.Err() == nil && c.more() {
		begun := time.Now()
		err := c.exchange(ctx)
		ended := time.Now()
		if ctx.Err() != nil {
			return // cut short by ourselves: neither an answer nor an error
		}
		if err != nil {
			c.fail(&c.seen.Errors.Transport, err.Error())
			c.hangUp()
			time.Sleep(10 * time.Millisecond) // a server that is away is not to be hammered
			continue
		}
		c.count(begun, ended)
		if c.answer.last {
			c.hangUp()
		}
	}
}

func (c *client) more() bool {
	if c.left != nil {
		return c.left.Add(-1) >= 0
	}
	return time.Now().Before(c.window.until)
}

func (c *client) exchange(ctx context.Context) error {
	if err := c.dial(ctx); err != nil {
		return err
	}
	c.next()
	c.request.setNonce(c.nonce[:])
	if err := c.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.conn.Write(c.request.bytes); err != nil {
		return err
	}
	return c.answer.read(c.r)
}

func (c *client) dial(ctx context.Context) error {
	if c.conn != nil {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.request.addr)
	if err != nil {
		return err
	}
	c.conn, c.r = conn, bufio.NewReaderSize(conn, 16<<10)
	return nil
}

func (c *client) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// next makes the nonce of the next request: 16 digits of this client's own, which were drawn at random, and 16 of a
// counter.
func (c *client) next() {
	c.sent++
	var counter [8]byte
	for i := range counter {
		counter[i] = byte(c.sent >> (56 - 8*i))
	}
	hex.Encode(c.nonce[nonceLen/2:], counter[:])
}

func (c *client) count(begun, ended time.Time) {
	c.seen.Statuses[c.answer.status]++
	switch {
	case c.answer.status != http.StatusOK:
		c.fail(&c.seen.Errors.Status, "status "+strconv.Itoa(c.answer.status)+": "+excerpt(c.answer.body))
		return
	case !bytes.Contains(c.answer.body, c.nonce[:]):
		c.fail(&c.seen.Errors.Echo, "no echo of "+string(c.nonce[:])+": "+excerpt(c.answer.body))
		return
	}
	c.seen.Total++
	if c.window.holds(ended) {
		c.latencies = append(c.latencies, ended.Sub(begun))
	}
}

func (c *client) fail(counter *int, what string) {
	*counter++
	if c.seen.Errors.First == "" {
		c.seen.Errors.First = what
	}
}

func (w window) holds(t time.Time) bool {
	return !t.Before(w.from) && (w.until.IsZero() || t.Before(w.until))
}

func excerpt(body []byte) string { return fmt.Sprintf("%.200q", body) }
