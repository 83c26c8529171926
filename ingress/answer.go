package ingress

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

const (
	typeJSON   = "application/json; charset=utf-8"
	typeText   = "text/plain; charset=utf-8"
	typeBinary = "application/octet-stream"
)

// answer renders what became of the request.
func (c *call) answer(result behalf.Result) {
	c.partIfDraining()
	failure := failureOf(result)
	c.outcome = outcomeOK
	if failure != nil {
		c.outcome = string(failure.Code)
		switch failure.Code { //nolint:exhaustive // the codes of a run that goes on, or may
		case behalf.CodeWaiting, behalf.CodeRunning, behalf.CodeAcceptanceUnknown:
			c.w.Header()["Location"] = []string{c.location(result.Run)}
		}
	}
	Render(c.w, c.r, result, c.trusted())
}

// partIfDraining ends the connection with this answer where the server leaves, so that its client sends nothing more on a
// connection that is about to be closed.
func (c *call) partIfDraining() {
	if c.server.draining.Load() {
		c.w.Header()["Connection"] = []string{"close"}
	}
}

// accepted answers a caller who does not wait: what the version's file says, or the run id.
func (c *call) accepted() {
	c.partIfDraining()
	c.outcome = outcomeAccepted
	respond := c.endpoint.Trigger.Respond
	if respond.Mode == behalf.RespondStatic && respond.Static != nil {
		Render(c.w, c.r, behalf.Result{Run: c.run, State: behalf.StateOK, Response: respond.Static}, false)
		return
	}
	h := c.w.Header()
	h["Location"] = []string{c.location(c.run)}
	h["Content-Type"] = []string{typeJSON}
	h["X-Behalf-Run-Id"] = []string{string(c.run)}
	body := make([]byte, 0, 64)
	body = append(body, `{"run_id":"`...)
	body = append(body, c.run...)
	write(c.w, c.r, http.StatusOK, append(body, `"}`...))
}

// Render answers an HTTP request with what a run answers. It is the only renderer: of the ingress, and of the route
// that gives a result later.
//
// A caller who was not authenticated is not trusted with a step's own error. Where the run goes on, the one who calls
// Render has set Location.
func Render(w http.ResponseWriter, r *http.Request, result behalf.Result, trusted bool) {
	h := w.Header()
	failure := failureOf(result)
	if failure == nil {
		setAuthorHeaders(h, result.Response.Headers)
	}
	if result.Run != "" {
		h["X-Behalf-Run-Id"] = []string{string(result.Run)}
	}
	if trusted && result.Timing != (behalf.Timing{}) {
		h["Server-Timing"] = []string{serverTiming(result.Timing)}
	}
	if failure == nil {
		writeResponse(w, r, *result.Response)
		return
	}
	if !trusted {
		failure = failure.ForStrangers()
	}
	writeFailure(w, r, result.Run, failure)
}

// failureOf says why a result answers badly, or nil where it is the workflow's own answer.
func failureOf(result behalf.Result) *behalf.Failure {
	switch {
	case result.Failure != nil && result.Run != "" && repeated(result.Failure.Code.Status()):
		// A run cannot fail so: only what was never accepted does. Whoever wrote this, nobody shall repeat it.
		return behalf.FailPlatform(result.Run)
	case result.Failure != nil:
		return result.Failure
	case result.Response != nil:
		return nil
	}
	switch result.State {
	case behalf.StateWaiting:
		return behalf.FailWaiting()
	case behalf.StateRunning:
		return behalf.FailRunning(result.Run)
	case behalf.StateOK, behalf.StateFailed, behalf.StateCanceled:
		return behalf.FailNoResponse()
	}
	return behalf.FailNoResponse()
}

// repeated says whether clients repeat a request by themselves after this status.
func repeated(status int) bool {
	return status == http.StatusRequestTimeout || status == http.StatusTooManyRequests || status >= http.StatusInternalServerError
}

// writeResponse writes the workflow's own answer, with the status that its author chose, 5xx too: an author who answers
// 503 asks the caller to come again. No failure of ours does that after acceptance.
func writeResponse(w http.ResponseWriter, r *http.Request, response behalf.Response) {
	status := response.Status
	if status < 200 || status > 599 {
		// 1xx is no answer: a client would wait on for the true one.
		status = http.StatusOK
	}
	body := response.Body()
	if h := w.Header(); len(body) > 0 && h["Content-Type"] == nil && bodyAllowed(status) {
		h["Content-Type"] = []string{typeOf(body)}
	}
	write(w, r, status, body)
}

// typeOf is the content type of a body whose author named none.
func typeOf(body []byte) string {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) > 0 && (trimmed[0] == '{' || trimmed[0] == '[') && json.Valid(body):
		return typeJSON
	case utf8.Valid(body):
		return typeText
	}
	return typeBinary
}

type failureBody struct {
	Error struct {
		Code    behalf.Code     `json:"code"`
		Message string          `json:"message"`
		Step    behalf.StepName `json:"step,omitempty"`
		Run     behalf.RunID    `json:"run_id,omitempty"`
	} `json:"error"`
}

func writeFailure(w http.ResponseWriter, r *http.Request, run behalf.RunID, f *behalf.Failure) {
	h := w.Header()
	h["X-Behalf-Error"] = []string{string(f.Code)}
	if _, err := behalf.ParseStepName(string(f.Step)); err == nil {
		h["X-Behalf-Step"] = []string{string(f.Step)}
	}
	setRetry(h, f.Code)
	// The message may hold what a caller or a step wrote; no browser shall take it for a page.
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if !acceptsJSON(r.Header) {
		h["Content-Type"] = []string{typeText}
		write(w, r, f.Code.Status(), []byte(f.Message))
		return
	}
	var body failureBody
	body.Error.Code, body.Error.Message, body.Error.Step, body.Error.Run = f.Code, f.Message, f.Step, run
	h["Content-Type"] = []string{typeJSON}
	write(w, r, f.Code.Status(), encoded(body))
}

func encoded(body failureBody) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil { // strings always encode
		return nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// setRetry tells clients when to come again, and how to prove themselves.
func setRetry(h http.Header, code behalf.Code) {
	switch code { //nolint:exhaustive // only these say something besides
	case behalf.CodeUnauthenticated:
		h["Www-Authenticate"] = []string{"Bearer"}
	case behalf.CodeUnavailable:
		h["Retry-After"] = []string{"1"}
	case behalf.CodeThrottled:
		if h["Retry-After"] == nil { // who refused it knows better
			h["Retry-After"] = []string{"1"}
		}
	case behalf.CodeQueueFull:
		h["Retry-After"] = []string{"5"}
	}
}

// acceptsJSON says whether the caller names application/json: who takes anything gets text.
func acceptsJSON(h http.Header) bool {
	for _, line := range h["Accept"] {
		for item := range strings.SplitSeq(line, ",") {
			kind, parameters, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(kind), "application/json") && !unwanted(parameters) {
				return true
			}
		}
	}
	return false
}

// unwanted says whether the parameters of an accepted type hold q=0, which names it to refuse it.
func unwanted(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		return err == nil && q == 0
	}
	return false
}

// setAuthorHeaders sets the headers of the workflow's own answer, but for those that are not its author's to set.
func setAuthorHeaders(h http.Header, headers map[string]string) {
	if len(headers) == 0 {
		return
	}
	names := make([]string, 0, len(headers))
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names) // two spellings of one name: always the same one wins
	for _, name := range names {
		if validName(name) && validValue(headers[name]) && !reserved(name) {
			h.Set(name, headers[name])
		}
	}
}

// reserved names the headers that belong to the connection, to the framing of the body, or to us.
func reserved(name string) bool {
	name = strings.ToLower(name)
	switch name {
	case "connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "content-length":
		return true
	}
	return strings.HasPrefix(name, "x-behalf-")
}

// validName says whether a name is a token of HTTP.
func validName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}

// validValue says whether a value cannot end its own header: no control character but the tab.
func validValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

func serverTiming(t behalf.Timing) string {
	b := make([]byte, 0, 64)
	b = appendTiming(b, "queue", t.Queue)
	b = appendTiming(append(b, ", "...), "step", t.Steps)
	b = appendTiming(append(b, ", "...), "journal", t.Journal)
	return string(b)
}

func appendTiming(b []byte, name string, d time.Duration) []byte {
	b = append(append(b, name...), ";dur="...)
	return strconv.AppendFloat(b, float64(d.Microseconds())/1000, 'f', -1, 64)
}

// write sends the answer with its length, so that net/http need not chunk it.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	if bodyAllowed(status) {
		w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	w.WriteHeader(status)
	if r.Method == http.MethodHead || !bodyAllowed(status) || len(body) == 0 {
		return
	}
	_, _ = w.Write(body) // a caller who is gone cannot be told
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}
