package ingress

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/behalf"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// Files keeps what callers send as files, each for half an hour, under a name that nobody can guess: who knows the name
// may read the file.
type Files interface {
	// PutFile keeps a file, with words about it. Errors: Exhausted, Unavailable; part of it may then be there.
	PutFile(ctx context.Context, name string, about map[string]string, content io.Reader) error
	// File opens a file, which must be closed. Errors: NotFound, also of one whose time is over; Unavailable.
	File(ctx context.Context, name string) (about map[string]string, content io.ReadCloser, err error)
	// DropFile forgets a file, also one that is there in part.
	DropFile(ctx context.Context, name string) error
}

const (
	maxFiles = 100
	// keepTimeout is how long it may take to keep the files of a request, or its trigger, and to drop them.
	keepTimeout = 15 * time.Second
	// fileNameLength is that of 256 bits in base64.
	fileNameLength = 43

	filesPath = "/e/files/"

	aboutFilename = "filename"
	aboutType     = "mimetype"
	aboutSize     = "size"
)

// attachment is a file of a request, on its way to where it is kept.
type attachment struct {
	name, filename, mimetype string
	// part is its place among the parts of the form.
	part int
	size int64
}

// attachments are the files of one request. While the event is built they only get their names: nothing is kept before
// everything else is known to be well, and then it is read a second time from the body, so that it is never held twice.
type attachments struct {
	base  string // of their URLs
	files []attachment
	// body holds them: parted by a boundary, or as a whole where there is none.
	body     []byte
	boundary string
	kept     int
}

// attachTo begins with the files that lie in this body, where files are kept at all.
func (c *call) attachTo(body []byte, boundary string) {
	if c.env.Files != nil {
		c.attached = &attachments{
			base: c.server.cfg.URL + filesPath + string(c.environment) + "/", body: body, boundary: boundary,
		}
	}
}

// attach adds a part of a form to the files of the request, and gives the object that stands for it.
func (c *call) attach(part *multipart.Part, f attachment) (string, error) {
	if c.attached == nil {
		return "", behalf.FailRequestInvalid("Files come in the next release; send the form without them")
	}
	var err error
	if f.size, err = io.Copy(io.Discard, part); err != nil {
		return "", brokenForm()
	}
	f.mimetype = cmp.Or(part.Header.Get("Content-Type"), typeBinary)
	url, err := c.attached.add(f)
	if err != nil {
		return "", err
	}
	doc := appendString([]byte(`{"url":`), url)
	doc = appendString(append(doc, `,"filename":`...), f.filename)
	doc = appendString(append(doc, `,"mimetype":`...), f.mimetype)
	return string(append(doc, '}')), nil
}

// appendUpload appends an object that tells where the body is.
func (c *call) appendUpload(dst, body []byte) ([]byte, error) {
	c.attachTo(body, "")
	url, err := c.attached.add(attachment{
		filename: "body", mimetype: cmp.Or(c.r.Header.Get("Content-Type"), typeBinary), size: int64(len(body)),
	})
	dst = appendString(append(dst, `{"raw_body_url":`...), url)
	return append(dst, '}'), err
}

// add names a file and gives its URL.
func (a *attachments) add(f attachment) (url string, err error) {
	if len(a.files) == maxFiles {
		return "", behalf.FailRequestInvalid("A form may have " + strconv.Itoa(maxFiles) + " files")
	}
	var random [32]byte
	_, _ = rand.Read(random[:]) // crypto/rand never fails: it ends the process instead
	f.name = base64.RawURLEncoding.EncodeToString(random[:])
	a.files = append(a.files, f)
	return a.base + f.name, nil
}

// names are those under which they are kept.
func (a *attachments) names() []string {
	if a == nil {
		return nil
	}
	var names []string
	for _, f := range a.files {
		names = append(names, f.name)
	}
	return names
}

// keep stores them all. After an error they must be dropped.
func (a *attachments) keep(ctx context.Context, files Files) error {
	ctx, cancel := context.WithTimeout(ctx, keepTimeout)
	defer cancel()
	if a.boundary == "" && len(a.files) > 0 { // the body as a whole
		return a.keepNext(ctx, files, bytes.NewReader(a.body))
	}
	parts := multipart.NewReader(bytes.NewReader(a.body), a.boundary)
	for i := 0; a.kept < len(a.files); i++ {
		part, err := parts.NextPart()
		if err != nil { // it was read once, to its end
			return fault.Wrap(fault.Internal, "ingress.keep", err)
		}
		if a.files[a.kept].part != i {
			continue
		}
		if err := a.keepNext(ctx, files, part); err != nil {
			return err
		}
	}
	return nil
}

func (a *attachments) keepNext(ctx context.Context, files Files, content io.Reader) error {
	f := a.files[a.kept]
	a.kept++ // also where it fails: part of it may be there
	return files.PutFile(ctx, f.name, map[string]string{
		aboutFilename: f.filename, aboutType: f.mimetype, aboutSize: strconv.FormatInt(f.size, 10),
	}, content)
}

// drop forgets what was kept for a request of which nothing was accepted. What cannot be dropped now, nobody can reach.
func (c *call) drop(ctx context.Context) {
	if c.attached == nil && c.parked == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), keepTimeout)
	defer cancel()
	var failed error
	if c.parked != nil {
		failed = c.env.Triggers.DropObject(ctx, *c.parked)
		c.parked = nil
	}
	if a := c.attached; a != nil {
		for _, f := range a.files[:a.kept] {
			failed = errors.Join(failed, c.env.Files.DropFile(ctx, f.name))
		}
		c.attached = nil
	}
	if failed != nil {
		c.server.log.Warn().Err(failed).Msg("what was kept for a refused request could not be dropped")
	}
}

// basename is what a file is called, without the folders that some clients send with it.
func basename(name string) string {
	name = strings.ToValidUTF8(name, "\ufffd")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return cmp.Or(name, "file")
}

// file gives a file to whoever knows its name, and says whether the request was for one.
func (c *call) file(ctx context.Context) bool {
	rest, ok := strings.CutPrefix(c.r.URL.Path, filesPath)
	if !ok || hostLabel(c.server.cfg.Proxies.Host(c.r), c.server.cfg.WorkflowDomain) != "" {
		return false
	}
	c.outcome = outcomeFile
	environment, name, _ := strings.Cut(rest, "/")
	env := c.server.envs[behalf.Environment(environment)]
	switch {
	case env == nil || env.Files == nil || len(name) != fileNameLength:
		noFile(c.w)
	case c.r.Method != http.MethodGet && c.r.Method != http.MethodHead:
		c.w.Header().Set("Allow", "GET, HEAD")
		http.Error(c.w, "A file can only be read", http.StatusMethodNotAllowed)
	default:
		c.find(ctx, env.Files, name)
	}
	return true
}

func (c *call) find(ctx context.Context, files Files, name string) {
	about, content, err := files.File(ctx, name)
	switch {
	case fault.Is(err, fault.NotFound):
		noFile(c.w)
	case err != nil:
		c.server.log.Warn().Err(err).Msg("a file could not be read")
		c.w.Header().Set("Retry-After", "1")
		http.Error(c.w, "This file cannot be read right now", http.StatusServiceUnavailable)
	default:
		giveFile(c.w, c.r, about, content)
	}
}

func noFile(w http.ResponseWriter) {
	http.Error(w, "No file is here, or no longer: files are kept for half an hour", http.StatusNotFound)
}

// maxHeaderWord is the most of a stranger's word that goes into a header: clients read headers of 16 KiB, in all.
const maxHeaderWord = 255

// shortened cuts a name to what file systems take, and keeps its ending.
func shortened(name string) string {
	if len(name) <= maxHeaderWord {
		return name
	}
	ending := path.Ext(name)
	if len(ending) > 16 {
		ending = ""
	}
	return strings.ToValidUTF8(name[:maxHeaderWord-len(ending)], "") + ending
}

// giveFile writes a file so that no browser takes it for a page of ours: strangers wrote it.
func giveFile(w http.ResponseWriter, r *http.Request, about map[string]string, content io.ReadCloser) {
	defer func() { _ = content.Close() }()
	h := w.Header()
	h.Set("Content-Type", typeBinary)
	if t := about[aboutType]; len(t) <= maxHeaderWord && validValue(t) {
		if _, _, err := mime.ParseMediaType(t); err == nil {
			h.Set("Content-Type", t)
		}
	}
	name := map[string]string{"filename": shortened(about[aboutFilename])}
	h.Set("Content-Disposition", cmp.Or(mime.FormatMediaType("attachment", name), "attachment"))
	h.Set("Content-Length", about[aboutSize]) // where less comes, net/http cuts the connection
	h.Set("Content-Security-Policy", "sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "private, no-store")
	if r.Method == http.MethodHead {
		return
	}
	_, _ = io.Copy(w, content) // a reader who is gone cannot be told
}
