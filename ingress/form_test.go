package ingress_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// part is one part of a form: its headers, one a line, and its content.
func part(headers, content string) string {
	return "--x\r\n" + strings.ReplaceAll(headers, "\n", "\r\n") + "\r\n\r\n" + content + "\r\n"
}

func field(name, value string) string {
	return part(`Content-Disposition: form-data; name="`+name+`"`, value)
}

const (
	urlencoded = "Content-Type: application/x-www-form-urlencoded"
	formData   = "Content-Type: multipart/form-data; boundary=x"
	endOfForm  = "--x--\r\n"
)

// bodyOf is event.body, and all that comes after it.
func bodyOf(t *testing.T, w *world, r *http.Request) string {
	t.Helper()
	e := published(t, w, r)
	if !json.Valid(e.Trigger) {
		t.Fatalf("trigger %s", e.Trigger)
	}
	_, body, _ := bytes.Cut(e.Trigger, []byte(`,"body":`))
	return strings.TrimSuffix(string(body), "}")
}

func TestForms(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ contentType, body, want string }{
		"one field":               {urlencoded, "a=1", `{"a":"1"}`},
		"several of one name":     {urlencoded, "a=2&b=x&a=1", `{"a":["2","1"],"b":"x"}`},
		"spaces and escapes":      {urlencoded + "; charset=UTF-8", "first+name=Jos%C3%A9+M&%26=%3D", `{"\u0026":"=","first name":"José M"}`},
		"no value":                {urlencoded, "a&b=&&=", `{"":"","a":"","b":""}`},
		"brackets are a name":     {urlencoded, "a[b]=1&a[]=2&a.b=3", `{"a.b":"3","a[]":"2","a[b]":"1"}`},
		"a prototype's own name":  {urlencoded, "__proto__=1&constructor=2&__proto__=3", `{"__proto__":["1","3"],"constructor":"2"}`},
		"broken escapes":          {urlencoded, "a=%&b=%zz&c=%ff", `{"a":"%","b":"%zz","c":"%ff"}`},
		"a semicolon is no end":   {urlencoded, "a=1;b=2", `{"a":"1;b=2"}`},
		"a NUL":                   {urlencoded, "a=%00", `{"a":"\u0000"}`},
		"JSON that poses as one":  {urlencoded, `{"a":"b=c"}`, `{"{\"a\":\"b":"c\"}"}`},
		"no UTF-8":                {urlencoded, "a=\xe9", `"YT3p","body_encoding":"base64"`},
		"as many as there may be": {urlencoded, strings.Repeat("a&", 999) + "a", `{"a":[` + strings.Repeat(`"",`, 999) + `""]}`},
		"no body":                 {urlencoded, "", ""},

		"a part":                     {formData, field("a", "1") + endOfForm, `{"a":"1"}`},
		"parts of one name":          {formData, field("a", "2") + field("b", "x") + field("a", "1") + endOfForm, `{"a":["2","1"],"b":"x"}`},
		"no parts":                   {formData, endOfForm, `{}`},
		"no parts, and no body":      {formData, "", ""},
		"an empty part":              {formData, field("a", "") + endOfForm, `{"a":""}`},
		"lines":                      {formData, field("a", "\r\n\r\n--\r\n--y\r\n") + endOfForm, `{"a":"\r\n\r\n--\r\n--y\r\n"}`},
		"no file was chosen":         {formData, part("Content-Disposition: form-data; name=\"f\"; filename=\"\"\nContent-Type: application/octet-stream", "") + endOfForm, `{"f":""}`},
		"a part of a type":           {formData, part("Content-Type: application/json\nContent-Disposition: form-data; name=j", `{"b":1}`) + endOfForm, `{"j":"{\"b\":1}"}`},
		"before and behind":          {formData, "before\r\n" + field("a", "1") + endOfForm + "behind", `{"a":"1"}`},
		"line ends of another world": {formData, "--x\nContent-Disposition: form-data; name=a\n\n1\n--x--", `{"a":"1"}`},
		"a boundary in quotes":       {`Content-Type: multipart/form-data; boundary="a b:c"`, "--a b:c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--a b:c--", `{"a":"1"}`},
		"quoted-printable":           {formData, part("Content-Disposition: form-data; name=a\nContent-Transfer-Encoding: quoted-printable", "caf=C3=A9") + endOfForm, `{"a":"café"}`},
		"a prototype's part":         {formData, field("__proto__", "1") + endOfForm, `{"__proto__":"1"}`},
		"as many parts as may be":    {formData, strings.Repeat(field("a", ""), 1000) + endOfForm, `{"a":[` + strings.Repeat(`"",`, 999) + `""]}`},
	} {
		w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		want := strings.ReplaceAll(c.want, `\u0026`, "&")
		if got := bodyOf(t, w, request(http.MethodPost, "", c.contentType, c.body)); got != want {
			t.Errorf("%s: body %s, want %s", name, got, want)
		}
	}
}

func TestRefusedForms(t *testing.T) {
	t.Parallel()
	const (
		broken   = "The body is no whole multipart form of its boundary"
		unnamed  = "Each part of a form must have Content-Disposition: form-data, with its name in UTF-8"
		boundary = "multipart/form-data must name its boundary, of at most 70 characters"
		fields   = "A form may have 1000 fields"
		long     = "The name of a field may have 1024 bytes"
	)
	for name, c := range map[string]struct{ contentType, body, text string }{
		"too many fields":       {urlencoded, strings.Repeat("a&", 1000) + "a", fields},
		"only separators":       {urlencoded, strings.Repeat("&", 200<<10), fields},
		"a long name":           {urlencoded, strings.Repeat("a", 1025) + "=1", long},
		"no boundary":           {"Content-Type: multipart/form-data", endOfForm, boundary},
		"an empty boundary":     {"Content-Type: multipart/form-data; boundary=", endOfForm, boundary},
		"a long boundary":       {"Content-Type: multipart/form-data; boundary=" + strings.Repeat("x", 71), endOfForm, boundary},
		"two boundaries":        {"Content-Type: multipart/form-data; boundary=x; boundary=y", endOfForm, boundary},
		"another boundary":      {formData, "--y\r\n\r\n--y--", broken},
		"JSON that poses as it": {formData, `{"a":1}`, broken},
		"no end":                {formData, field("a", "1"), broken},
		"cut in a part":         {formData, "--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1", broken},
		"only a boundary":       {formData, "--x", broken},
		"cut after a boundary":  {formData, "--x\r\n", broken},
		"cut after a part":      {formData, field("a", "1") + "--x\r\n", broken},
		"cut in a header":       {formData, "--x\r\nContent-Dispo", broken},
		"a header of no shape":  {formData, part("Content-Disposition: form-data; name=a\nno colon", "") + endOfForm, broken},
		"no disposition":        {formData, part("Content-Type: text/plain", "1") + endOfForm, unnamed},
		"another disposition":   {formData, part("Content-Disposition: attachment; name=a", "1") + endOfForm, unnamed},
		"no name":               {formData, part("Content-Disposition: form-data", "1") + endOfForm, unnamed},
		"two names":             {formData, part("Content-Disposition: form-data; name=a; name=b", "1") + endOfForm, unnamed},
		"a name of no UTF-8":    {formData, field("\xe9", "1") + endOfForm, unnamed},
		"a long name of a part": {formData, field(strings.Repeat("a", 1025), "1") + endOfForm, long},
		"a long header":         {formData, part("Content-Disposition: form-data; name=a\nX-A: "+strings.Repeat("a", 17<<10), "1") + endOfForm, "The headers of a part may have 16384 bytes"},
		"many headers":          {formData, part("Content-Disposition: form-data; name=a\n"+strings.TrimSpace(strings.Repeat("X-A: a\n", 20_000)), "1") + endOfForm, broken},
		"too many parts":        {formData, strings.Repeat(field("a", ""), 1001) + endOfForm, fields},
		"a field of no UTF-8":   {formData, field("a", "\xff") + endOfForm, "A field of a form must be UTF-8; send other bytes as a file"},
		"a file":                {formData, part("Content-Disposition: form-data; name=f; filename=\"a.txt\"", "1") + endOfForm, "Files come in the next release; send the form without them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(behalf.AuthNone, behalf.RespondImmediate)
			check(t, w.send(request(http.MethodPost, "", c.contentType, c.body)), row{status: 400, code: "request_invalid", text: c.text})
			if len(w.bus.stored()) > 0 {
				t.Error("an event was stored")
			}
		})
	}
}

// FuzzForms sends what strangers may write as a form, and wants it refused with nothing kept, or an object of
// strings and files, each of them kept.
func FuzzForms(f *testing.F) {
	f.Add("a=1&b=%zz&a", "x", false)
	f.Add(field("a", "1")+field("a", "\xff")+endOfForm, "x", true)
	f.Add("--x\nContent-Disposition: form-data; name*=utf-8''%e2%82%ac\n\n1\n--x--", "x", true)
	f.Add(part("Content-Disposition: form-data; name=a\nContent-Transfer-Encoding: quoted-printable", "=3D=\r\n")+endOfForm, "x", true)
	f.Add(file("f", "filename=a", "text/plain", "1")+field("f", "2")+file("g", "filename*=utf-8''%00", "", "\x00")+endOfForm, "x", true)
	f.Fuzz(func(t *testing.T, body, boundary string, parts bool) {
		contentType := "application/x-www-form-urlencoded"
		if parts {
			contentType = fmt.Sprintf("multipart/form-data; boundary=%q", boundary)
		}
		w := filing(behalf.AuthNone, behalf.RespondImmediate)
		w.endpoint.Trigger.RawBody = true
		r := request(http.MethodPost, "", "", body)
		r.Header = http.Header{"Content-Type": {contentType}}
		res := w.send(r)
		events := w.bus.stored()
		if res.status != 200 {
			if res.status >= 500 || len(events)+w.files.puts > 0 {
				t.Fatalf("answered %d with %d events and %d files", res.status, len(events), w.files.puts)
			}
			return
		}
		var got struct {
			Body     any    `json:"body"`
			Raw      string `json:"body_raw"`
			Encoding string `json:"body_raw_encoding"`
		}
		if err := json.Unmarshal(events[0].Trigger, &got); err != nil || !utf8.Valid(events[0].Trigger) {
			t.Fatalf("%v: %q", err, events[0].Trigger)
		}
		if got.Encoding == "" && got.Raw != body {
			t.Errorf("raw body %q, sent %q", got.Raw, body)
		}
		if fields, ok := got.Body.(map[string]any); ok {
			if files := checkFields(t, fields); files != w.files.count() {
				t.Errorf("%d files in the event, %d kept", files, w.files.count())
			}
		} else if body != "" && (parts || utf8.ValidString(body)) {
			t.Errorf("body %v", got.Body)
		}
	})
}

// checkFields counts the files.
func checkFields(t *testing.T, fields map[string]any) (files int) {
	t.Helper()
	for name, value := range fields {
		list, many := value.([]any)
		if !many {
			list = []any{value}
		}
		if many && len(list) < 2 {
			t.Errorf("%q is %v", name, value)
		}
		for _, one := range list {
			object, file := one.(map[string]any)
			if _, text := one.(string); !text && (!file || len(object) != 3 || object["url"] == "" || object["filename"] == "") {
				t.Errorf("%q is %v", name, one)
			}
			if file {
				files++
			}
		}
	}
	return files
}

// FuzzFormsRoundTrip writes a form as a client does and wants its values back.
func FuzzFormsRoundTrip(f *testing.F) {
	f.Add("a", "1", "b", "\r\n--x")
	f.Add("__proto__", "é", "__proto__", "\u2028\x00")
	f.Fuzz(func(t *testing.T, name1, value1, name2, value2 string) {
		if strings.ContainsAny(name1+name2, "\r\n") || !utf8.ValidString(name1+value1+name2+value2) || max(len(name1), len(name2)) > 1024 {
			return // such names are escaped on their way, and what else is refused is tested above
		}
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for _, f := range [][2]string{{name1, value1}, {name2, value2}} {
			if err := w.WriteField(f[0], f[1]); err != nil {
				t.Fatal(err) // a buffer takes everything
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		world := newWorld(behalf.AuthNone, behalf.RespondImmediate)
		res := world.send(request(http.MethodPost, "", "Content-Type: "+w.FormDataContentType(), b.String()))
		if res.status == 400 {
			return // a name with control characters is no header
		}
		var got struct {
			Body map[string]any `json:"body"`
		}
		if err := json.Unmarshal(world.bus.stored()[0].Trigger, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{name1: {value1}}
		want[name2] = append(want[name2], value2)
		for name, values := range want {
			if !sameValues(got.Body[name], values) {
				t.Errorf("%q is %v, sent %q", name, got.Body[name], values)
			}
		}
	})
}
