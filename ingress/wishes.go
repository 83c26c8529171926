package ingress

import (
	"net/http"
	"strings"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// wishes are what a caller asks for beside the run itself, in a header or in the query.
type wishes struct {
	// noStore keeps nothing of the run that its end does not need.
	noStore bool
	// noTrigger keeps the event and runs nothing.
	noTrigger bool
	// uploadBody hands the body on untouched, by a URL.
	uploadBody bool
}

const (
	headerNoStore    = "X-Pd-Nostore"
	headerNoTrigger  = "X-Pd-Notrigger"
	headerUploadBody = "X-Pd-Upload-Body"
)

// wishesOf reads them. One that says neither yes nor no is refused: it was meant as something, and must not be guessed.
func wishesOf(r *http.Request) (wishes, error) {
	var w wishes
	for _, name := range [...]string{headerNoStore, headerNoTrigger, headerUploadBody} {
		for _, value := range r.Header[name] {
			if err := w.add(name, value); err != nil {
				return w, err
			}
		}
	}
	if r.URL.RawQuery == "" {
		return w, nil
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if err := w.add(unescaped(name), value); err != nil {
			return w, err
		}
	}
	return w, nil
}

// add hears one wish. Every other name is none.
func (w *wishes) add(name, value string) error {
	var wish *bool
	switch {
	case strings.EqualFold(name, headerNoStore):
		wish = &w.noStore
	case strings.EqualFold(name, headerNoTrigger):
		wish = &w.noTrigger
	case strings.EqualFold(name, headerUploadBody), name == "pipedream_upload_body":
		wish = &w.uploadBody
	default:
		return nil
	}
	switch strings.ToLower(value) {
	case "1", "true":
		*wish = true
	case "0", "false":
	default:
		return behalf.FailRequestInvalid(strings.ToLower(name) + " must be 1 or 0")
	}
	return nil
}

// refused names what is asked for and cannot be had yet: to go on without it would keep, or run, what must not be.
func (w wishes) refused(env *environment) error {
	var name string
	switch {
	case w.noStore && w.noTrigger:
		return behalf.FailRequestInvalid("x-pd-nostore and x-pd-notrigger together leave nothing to do: a test event is one that is stored")
	case w.noTrigger && env.Tests == nil:
		name = headerNoTrigger
	case w.uploadBody && env.Files == nil:
		name = headerUploadBody
	default:
		return nil
	}
	return behalf.FailRequestInvalid(strings.ToLower(name) + " comes in the next release; send the request without it")
}
