//go:build integration

package test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"mime/multipart"
	"net/http"
	"slices"
	"testing"
)

// telling is a workflow that answers with what its steps see of the request.
func telling() map[string]string {
	return map[string]string{
		"workflow.yaml": "name: A test\ntriggers:\n  - { type: http, auth: oauth, respond: custom, raw_body: true }\nsteps:\n  - { name: only, run: only.mjs }\n",
		"only.mjs": `export default defineComponent({ async run({ steps, $ }) {
  const { body, body_encoding, body_raw, body_raw_encoding } = steps.trigger.event;
  $.respond({ status: 200, body: { body, body_encoding, body_raw, body_raw_encoding } });
} });
`,
	}
}

// told is what such a workflow answers.
type told struct {
	Body        any    `json:"body"`
	Encoding    string `json:"body_encoding"`
	Raw         string `json:"body_raw"`
	RawEncoding string `json:"body_raw_encoding"`
}

func header(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for pair := range slices.Chunk(pairs, 2) {
			r.Header.Set(pair[0], pair[1])
		}
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// form writes a multipart form as a client does.
func form(t *testing.T, fields ...[2]string) (contentType, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, f := range fields {
		if err := w.WriteField(f[0], f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.String()
}

// Every kind of body reaches the steps as it was declared, and what nothing can be made of is refused before anything
// is accepted.
func TestBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	d := w.deploy("telling", telling())
	partsType, parts := form(t, [2]string{"a", "é"}, [2]string{"b", "1"}, [2]string{"a", "2"})
	for name, c := range map[string]struct {
		body   string
		header func(*http.Request)
		want   told
	}{
		"JSON":         {`{"a":[1]}`, header(), told{Body: map[string]any{"a": []any{1.0}}, Raw: `{"a":[1]}`}},
		"a form":       {"a=1&b=x+y&a=%C3%A9", header("Content-Type", "application/x-www-form-urlencoded"), told{Body: map[string]any{"a": []any{"1", "é"}, "b": "x y"}, Raw: "a=1&b=x+y&a=%C3%A9"}},
		"parts":        {parts, header("Content-Type", partsType), told{Body: map[string]any{"a": []any{"é", "2"}, "b": "1"}, Raw: parts}},
		"bytes":        {"\x00\xff", header("Content-Type", "application/octet-stream"), told{"AP8=", "base64", "AP8=", "base64"}},
		"compressed":   {zipped(t, `{"a":1}`), header("Content-Encoding", "gzip"), told{Body: map[string]any{"a": 1.0}, Raw: `{"a":1}`}},
		"JSON by name": {`{"a":1}`, header("Content-Type", "text/plain"), told{Body: `{"a":1}`, Raw: `{"a":1}`}},
	} {
		a := w.post(d.PathURL, c.body, c.header)
		var got told
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != http.StatusOK {
			t.Errorf("%s: %v, %v", name, a, err)
			continue
		}
		if want := must(json.Marshal(c.want))(t); string(must(json.Marshal(got))(t)) != string(want) {
			t.Errorf("%s: %+v, want %s", name, got, want)
		}
	}
	before := maps.Clone(w.journal())
	for name, c := range map[string]struct {
		body   string
		header func(*http.Request)
		status int
	}{
		"a bomb":          {zipped(t, string(make([]byte, 20<<20))), header("Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge},
		"another coding":  {"x", header("Content-Encoding", "br"), http.StatusBadRequest},
		"a broken form":   {"--x", header("Content-Type", "multipart/form-data; boundary=x"), http.StatusBadRequest},
		"no boundary":     {"--x--", header("Content-Type", "multipart/form-data"), http.StatusBadRequest},
		"JSON in UTF-16":  {"{}", header("Content-Type", "application/json; charset=utf-16"), http.StatusBadRequest},
		"an unclear wish": {"x", header("X-Pd-Nostore", "yes"), http.StatusBadRequest},
	} {
		if a := w.post(d.PathURL, c.body, c.header); a.status != c.status || a.run() != "" {
			t.Errorf("%s: %v", name, a)
		}
	}
	w.idle()
	if after := w.journal(); len(after) != len(before) {
		t.Errorf("%d runs, %d before anything was refused", len(after), len(before))
	}
}

// A page of any origin may call a workflow and read the answer, and its browser's question runs nothing.
func TestPagesMayCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker()
	d := w.deploy("telling", telling())
	req := must(http.NewRequest(http.MethodOptions, d.PathURL, http.NoBody))(t)
	header("Origin", "https://app.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization,content-type")(req)
	a := w.do(req)
	if a.status != http.StatusNoContent || a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Allow-Headers") != "authorization,content-type" {
		t.Errorf("%v %v", a, a.header)
	}
	w.idle()
	if runs := w.journal(); len(runs) > 0 {
		t.Errorf("%d runs of a question", len(runs))
	}
	for _, bearer := range []string{"Bearer " + w.token, "Bearer no"} {
		a := w.post(d.PathURL, `{}`, header("Origin", "https://app.example", "Authorization", bearer))
		if a.header.Get("Access-Control-Allow-Origin") != "*" || a.header.Get("Access-Control-Expose-Headers") != "*" {
			t.Errorf("%v %v", a, a.header)
		}
	}
}
