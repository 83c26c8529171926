//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package cli

import (
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// lockFolder makes a data folder ours until the lock is closed or this process ends: two servers on the same streams
// would destroy them. Errors: Unavailable, where another process has it.
func lockFolder(dir string) (io.Closer, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Newf(fault.Invalid, "cli.dev", "cannot write into the data folder %s", dir).Because(err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, hinted{fault.Newf(fault.Unavailable, "cli.dev", "another Behalf uses the data folder %s", dir), "stop it, or set BEHALF_DATA_DIR to a folder of its own"}
	}
	return file, nil
}
