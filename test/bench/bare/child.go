package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// script is the step: what Behalf's bench workflow does, for a line.
const script = `
let rest = ''
process.stdin.setEncoding('utf8').on('data', (text) => {
  rest += text
  for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
    const body = JSON.parse(rest.slice(0, end))
    rest = rest.slice(end + 1)
    process.stdout.write(JSON.stringify({ echo: body.nonce }) + '\n')
  }
})`

// child is a Node process that answers each line with a line.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	line []byte
}

func startChild(ctx context.Context, node string) (*child, error) {
	if node == "" {
		return nil, errors.New("BEHALF_NODE names no binary")
	}
	cmd := exec.CommandContext(ctx, node, "-e", script)
	cmd.Env = []string{} // nil would hand ours over
	cmd.Stderr = os.Stderr
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd: cmd, in: in, out: bufio.NewReaderSize(out, 64<<10)}, nil
}

// answer hands a line over and waits for the answer, which is the caller's to keep.
func (c *child) answer(event []byte) ([]byte, error) {
	c.line = append(append(c.line[:0], event...), '\n')
	if _, err := c.in.Write(c.line); err != nil {
		return nil, err
	}
	answer, err := c.out.ReadBytes('\n')
	if err != nil {
		return nil, err
	}
	return answer[:len(answer)-1], nil
}

// close lets the child end: at the end of its input, or killed with its context.
func (c *child) close() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}
