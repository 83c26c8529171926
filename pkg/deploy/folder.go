package deploy

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/behalf-dev/behalf/pkg/deploy/strict"
	"github.com/behalf-dev/behalf/pkg/fault"
)

// The bounds of a folder.
const (
	maxFiles  = 1000
	maxFolder = 16 << 20
)

// ReadFolder reads what Load wants of a workflow's folder: workflow.yaml and the code, by their paths in it. Links,
// names with a dot in front and node_modules are left alone, so that no folder hands out what lies elsewhere. Kinds:
// Invalid for a folder beyond all bounds, NotFound for none, Unavailable for one that cannot be read.
func ReadFolder(fsys fs.FS) (map[string][]byte, error) {
	r := folderReader{fsys: fsys, files: map[string][]byte{}}
	if err := fs.WalkDir(fsys, ".", r.visit); err != nil {
		return nil, unreadable("deploy.ReadFolder", err)
	}
	return r.files, nil
}

type folderReader struct {
	fsys  fs.FS
	files map[string][]byte
	size  int
}

func (r *folderReader) visit(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if entry.IsDir() && hidden(name) {
		return fs.SkipDir
	}
	if hidden(name) || !entry.Type().IsRegular() || !wanted(name) {
		return nil
	}
	content, err := r.read(name)
	if err != nil {
		return err
	}
	r.files[name] = content
	r.size += len(content)
	if len(r.files) > maxFiles || r.size > maxFolder {
		return fault.Newf(fault.Invalid, "deploy.ReadFolder", "the folder has more than %d files or %d MiB of code", maxFiles, maxFolder>>20)
	}
	return nil
}

// read stops one byte behind the limit: enough for Load to see that the file is too large.
func (r *folderReader) read(name string) ([]byte, error) {
	f, err := r.fsys.Open(name)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(io.LimitReader(f, max(MaxSource, strict.MaxFile)+1))
	if closed := f.Close(); err == nil {
		err = closed
	}
	return content, err
}

func hidden(name string) bool {
	base := path.Base(name)
	return name != "." && (strings.HasPrefix(base, ".") || base == "node_modules")
}

func wanted(name string) bool {
	return name == File || name == "workflow.yml" || path.Ext(name) == ".mjs"
}

// Folders finds the workflows of a folder: itself, as ".", where it has a workflow.yaml, else those of its direct
// children that have one, in alphabetical order. Kinds as those of ReadFolder.
func Folders(fsys fs.FS) ([]string, error) {
	if isWorkflow(fsys, ".") {
		return []string{"."}, nil
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, unreadable("deploy.Folders", err)
	}
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() && !hidden(entry.Name()) && isWorkflow(fsys, entry.Name()) {
			folders = append(folders, entry.Name())
		}
	}
	slices.Sort(folders)
	return folders, nil
}

func isWorkflow(fsys fs.FS, folder string) bool {
	info, err := fs.Lstat(fsys, path.Join(folder, File)) // links are left alone here too
	return err == nil && info.Mode().IsRegular()
}

func unreadable(op string, err error) error {
	var ours *fault.Error
	switch {
	case errors.As(err, &ours):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return fault.New(fault.NotFound, op, "there is no such folder").Because(err)
	}
	return fault.New(fault.Unavailable, op, "the folder cannot be read").Because(err)
}
