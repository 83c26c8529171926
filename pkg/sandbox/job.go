package sandbox

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Key is what a guest is bound to with its first run, and never to another.
type Key struct {
	Project     behalf.ProjectID
	Environment behalf.Environment
	Version     behalf.VersionID
}

// Job is one run of one file.
type Job struct {
	Key Key
	// File names the source within its version, as the author's stacks show it. The same file of the same version has
	// the same source: it is sent once per guest.
	File   string
	Source string
	// Timeout is how long the run may take, without the wait for a guest. Zero means without end.
	Timeout time.Duration
	// Begin is called when the guest is there, right before it is given the run. Its error is that of Do, and the run does
	// not begin. Nil allows it.
	Begin func(ctx context.Context) error
	// Body is what the run is given: the members of a JSON object, without its braces, each followed by a comma. It
	// carries the run's secrets; nothing else on the way does.
	Body []byte
}

// Reply is how a job ended: with a result, cut short, or with the end of its process.
type Reply struct {
	// Exports is a JSON object, not yet checked for size or depth. Nil where there is no result.
	Exports  json.RawMessage
	Response *Response
	Exit     *behalf.Exit
	Err      *behalf.StepError
	Logs     []behalf.Log
	// Cut says that the timeout ended the run, and the guest with it.
	Cut bool
	// Died says how the guest's process ended by itself, in words for the author. Empty where it did not.
	Died string
	// Duration is that of the run itself, without the wait for a guest.
	Duration time.Duration
}

// begin lets the job begin, or says why it must not.
func (j Job) begin(ctx context.Context) error {
	if j.Begin != nil && ctx.Err() == nil {
		if err := j.Begin(ctx); err != nil {
			return err
		}
	}
	return fault.Wrap(fault.Canceled, "sandbox.Do", ctx.Err())
}

// appendFrames appends what the guest must read to run the job: its source, if the guest has not got it yet, and the
// run, in one piece for one write.
func (j Job) appendFrames(buf []byte, id uint64, withSource bool) ([]byte, error) {
	place := []byte(`"version":` + quote(string(j.Key.Version)) + `,"file":` + quote(j.File))
	if withSource {
		start := len(buf)
		buf = append(openFrame(buf), `{"type":"source",`...)
		buf = append(append(buf, place...), `,"source":`...)
		buf = append(append(buf, quote(j.Source)...), '}')
		if err := closeFrame(buf, start); err != nil {
			return nil, err
		}
	}
	start := len(buf)
	buf = append(openFrame(buf), `{"type":"run",`...)
	buf = append(append(buf, j.Body...), place...)
	buf = strconv.AppendUint(append(buf, `,"id":`...), id, 10)
	if j.Timeout > 0 {
		buf = strconv.AppendInt(append(buf, `,"deadline":`...), time.Now().Add(j.Timeout).UnixMilli(), 10)
	}
	buf = append(buf, '}')
	return buf, closeFrame(buf, start)
}

// quote is a string as JSON. Marshalling a string cannot fail.
func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}
