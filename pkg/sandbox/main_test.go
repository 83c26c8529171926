package sandbox

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The fake child is this test binary, told by its first argument how to behave. Arguments reach it through bubblewrap,
// where an environment would not.
const fakeChild = "behalf-test-child"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == fakeChild {
		misbehave(os.Args[2])
		return
	}
	goleak.VerifyTestMain(m)
}

func misbehave(manner string) {
	control := os.NewFile(3, "control")
	say := func(text string) {
		frame := binary.BigEndian.AppendUint32(nil, uint32(len(text)))
		_, _ = control.Write(append(frame, text...))
	}
	hello := func() { say(`{"type":"hello","protocol":1,"version":"fake"}`) }
	forever := func() { time.Sleep(time.Hour) }

	switch manner {
	case "trial": // the probe of a tier
		return
	case "grandchild":
		forever()
	case "hang before hello":
		forever()
	case "garbage before hello":
		_, _ = control.WriteString("not a frame")
		forever()
	case "exit before hello":
		fmt.Fprintln(os.Stderr, "cannot start: no such library")
		os.Exit(4)
	case "exit 0 silently":
		return
	case "wrong version":
		say(`{"type":"hello","protocol":99}`)
		forever()
	case "result before hello":
		say(`{"type":"result","id":1}`)
		forever()
	}

	hello()
	if manner == "result before any run" {
		say(`{"type":"result","id":1,"exports":{}}`)
	}
	for {
		run := hear(control)
		if run.Type != "run" {
			continue
		}
		result := fmt.Sprintf(`{"type":"result","id":%d,"exports":{"pid":%d}}`, run.ID, os.Getpid())
		switch manner {
		case "well":
			say(result)
		case "takes its time":
			time.Sleep(200 * time.Millisecond)
			say(result)
		case "hang in run":
			say(fmt.Sprintf(`{"type":"logs","id":%d,"logs":[{"at":1,"stream":"stdout","text":"so far"}]}`, run.ID))
			forever()
		case "garbage":
			_, _ = control.Write([]byte("\x00\x00\x00\x04lalapproximately"))
			forever()
		case "huge frame":
			_, _ = control.Write([]byte{0xff, 0xff, 0xff, 0xff})
			forever()
		case "half a frame":
			_, _ = control.Write([]byte{0, 0, 1, 0, '{'})
			os.Exit(0)
		case "closes descriptor 3":
			_ = control.Close()
			forever()
		case "exits 0 in run":
			os.Exit(0)
		case "exits 7 in run":
			os.Exit(7)
		case "kills itself":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			forever()
		case "answers twice":
			say(result)
			say(result)
		case "answers another run":
			say(`{"type":"result","id":99,"exports":{}}`)
			forever()
		case "exports a list":
			say(fmt.Sprintf(`{"type":"result","id":%d,"exports":[]}`, run.ID))
			forever()
		case "says hello again":
			hello()
			forever()
		case "logs after the result":
			say(result)
			say(fmt.Sprintf(`{"type":"logs","id":%d,"logs":[{"text":"late"}]}`, run.ID))
		case "floods logs":
			for range 20_000 {
				say(fmt.Sprintf(`{"type":"logs","id":%d,"logs":[{"text":%q}]}`, run.ID, strings.Repeat("x", 1000)))
			}
			say(result)
		case "floods empty logs":
			say(fmt.Sprintf(`{"type":"logs","id":%d,"logs":[{}%s]}`, run.ID, strings.Repeat(",{}", 100_000)))
			say(result)
		case "speaks a newer language":
			say(`{"type":"telemetry","x":1}`)
			if answer := hear(control); answer.Type == "unsupported" && answer.Of == "telemetry" {
				say(result)
			}
		case "floods unknown frames":
			for {
				say(`{"type":"telemetry"}`)
			}
		case "asks to retire":
			say(`{"type":"retire"}`)
			say(result)
		case "ignores signals and forks":
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			grandchild := exec.Command("/proc/self/exe", fakeChild, "grandchild")
			grandchild.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			if err := grandchild.Start(); err != nil {
				say(fmt.Sprintf(`{"type":"result","id":%d,"error":{"message":%q}}`, run.ID, err))
			}
			say(fmt.Sprintf(`{"type":"logs","id":%d,"logs":[{"text":"forked"}]}`, run.ID))
			forever()
		}
	}
}

type heard struct {
	Type string `json:"type"`
	ID   uint64 `json:"id"`
	Of   string `json:"of"`
}

func hear(r io.Reader) heard {
	var header [4]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		os.Exit(0)
	}
	body := make([]byte, binary.BigEndian.Uint32(header[:]))
	if _, err := io.ReadFull(r, body); err != nil {
		os.Exit(0)
	}
	var f heard
	if err := json.Unmarshal(body, &f); err != nil {
		os.Exit(71)
	}
	return f
}
