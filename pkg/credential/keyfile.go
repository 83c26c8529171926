package credential

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"golang.org/x/sys/unix"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// errNoKey says that there is no key file.
var errNoKey = errors.New("no key file")

// openKey reads the key, unless somebody else may read it too, or could have put it there.
func openKey(file string) (*keyset.Handle, error) {
	f, err := os.Open(file) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoKey
	}
	if err != nil {
		return nil, fault.Newf(fault.Forbidden, "credential.OpenSealed", "the key file %s cannot be read", file).Because(err)
	}
	defer func() { _ = f.Close() }() // only read
	if err := checkPrivate(f); err != nil {
		return nil, err
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(f))
	if err != nil { // its text might quote the key
		return nil, fault.Newf(fault.Invalid, "credential.OpenSealed", "the key file %s holds no key set in JSON", file)
	}
	return handle, nil
}

func checkPrivate(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fault.Wrap(fault.Unavailable, "credential.OpenSealed", err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		return fault.Wrap(fault.Unavailable, "credential.OpenSealed", err)
	}
	switch {
	case !info.Mode().IsRegular():
		return fault.Newf(fault.Forbidden, "credential.OpenSealed", "the key file %s is no ordinary file", f.Name())
	case int64(stat.Uid) != int64(os.Geteuid()):
		return fault.Newf(fault.Forbidden, "credential.OpenSealed",
			"the key file %s belongs to another user (uid %d, we are %d): chown %d %s", f.Name(), stat.Uid, os.Geteuid(), os.Geteuid(), f.Name())
	case info.Mode().Perm()&0o077 != 0:
		return fault.Newf(fault.Forbidden, "credential.OpenSealed",
			"the key file %s may be read or written by others (mode %04o): chmod 600 %s", f.Name(), info.Mode().Perm(), f.Name())
	}
	return nil
}

// makeKey writes a fresh key and opens it. Of several that do so at once, the first one's key is everybody's.
func makeKey(file string) (*keyset.Handle, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fault.Wrap(fault.Internal, "credential.OpenSealed", err)
	}
	var encoded bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&encoded)); err != nil {
		return nil, fault.Wrap(fault.Internal, "credential.OpenSealed", err)
	}
	if err := place(file, encoded.Bytes()); err != nil {
		return nil, fault.Newf(fault.Forbidden, "credential.OpenSealed", "the key file %s cannot be written", file).Because(err)
	}
	return openKey(file)
}

// place makes the file whole or not at all, and leaves one that is there alone.
func place(file string, data []byte) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	temp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return fmt.Errorf("temporary file: %w", err)
	}
	defer func() { _ = os.Remove(temp.Name()) }() // it lives on under its true name
	_, err = temp.Write(data)
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := os.Link(temp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("link: %w", err)
	}
	return syncDir(dir)
}

// syncDir makes the file's name as durable as what will be sealed with it.
func syncDir(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the folder of the file that the operator names
	if err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	return errors.Join(d.Sync(), d.Close())
}
