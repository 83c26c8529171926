package ingress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"unicode/utf8"

	"github.com/behalf-dev/behalf/pkg/behalf"
)

// The most that a form may have. Whoever fills a form by hand is far below.
const (
	maxFields      = 1000
	maxFieldName   = 1 << 10
	maxPartHeaders = 16 << 10
	maxBoundary    = 70 // RFC 2046
)

// appendForm appends a urlencoded form as an object, by the rules of the query.
func appendForm(dst, body []byte) ([]byte, error) {
	if bytes.Count(body, []byte("&")) >= maxFields {
		return nil, tooManyFields()
	}
	fields := parseQuery(string(body))
	for _, f := range fields {
		if len(f.key) > maxFieldName {
			return nil, longFieldName()
		}
	}
	return appendParameters(dst, fields), nil
}

// appendMultipart appends a multipart form as an object: a field as a string, a file as what tells where it is, several of
// one name as an array.
func (c *call) appendMultipart(dst, body []byte, boundary string) ([]byte, error) {
	c.attachTo(body, boundary)
	parts := multipart.NewReader(bytes.NewReader(body), boundary)
	var fields []parameter
	size := len(dst)
	for {
		part, err := parts.NextPart()
		switch {
		case errors.Is(err, io.EOF) && ended(body, boundary):
			return appendParameters(dst, fields), nil
		case err != nil:
			return nil, brokenForm()
		case len(fields) == maxFields:
			return nil, tooManyFields()
		}
		disposition, err := readDisposition(part)
		if err != nil {
			return nil, err
		}
		field := parameter{key: disposition["name"]}
		if filename := disposition["filename"]; filename == "" {
			field.value, err = readField(part)
		} else {
			field.json = true
			field.value, err = c.attach(part, attachment{filename: basename(filename), part: len(fields)})
		}
		if err != nil {
			return nil, err
		}
		if size += quotedSize(field.value); size > c.server.maxTrigger() {
			return nil, behalf.FailBodyTooLarge(int64(c.server.cfg.MaxBody))
		}
		fields = append(fields, field)
	}
}

// ended says whether a form was sent to its end: the reader takes the end of the body for one too.
func ended(body []byte, boundary string) bool {
	end := []byte("--" + boundary + "--")
	return bytes.HasPrefix(body, end) || bytes.Contains(body, append([]byte("\n"), end...))
}

// readDisposition reads what a part says of itself.
func readDisposition(part *multipart.Part) (map[string]string, error) {
	size := 0
	for name, values := range part.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	kind, disposition, err := mime.ParseMediaType(part.Header.Get("Content-Disposition"))
	name, named := disposition["name"]
	switch {
	case size > maxPartHeaders:
		return nil, behalf.FailRequestInvalid(fmt.Sprintf("The headers of a part may have %d bytes", maxPartHeaders))
	case err != nil || kind != "form-data" || !named || !utf8.ValidString(name):
		return nil, behalf.FailRequestInvalid("Each part of a form must have Content-Disposition: form-data, with its name in UTF-8")
	case len(name) > maxFieldName:
		return nil, longFieldName()
	}
	return disposition, nil
}

func readField(part io.Reader) (string, error) {
	value, err := io.ReadAll(part)
	switch {
	case err != nil:
		return "", brokenForm()
	case !utf8.Valid(value):
		return "", behalf.FailRequestInvalid("A field of a form must be UTF-8; send other bytes as a file")
	}
	return string(value), nil
}

func brokenForm() error {
	return behalf.FailRequestInvalid("The body is no whole multipart form of its boundary")
}

func tooManyFields() error {
	return behalf.FailRequestInvalid(fmt.Sprintf("A form may have %d fields", maxFields))
}

func longFieldName() error {
	return behalf.FailRequestInvalid(fmt.Sprintf("The name of a field may have %d bytes", maxFieldName))
}
