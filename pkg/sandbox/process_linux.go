package sandbox

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// SealDescriptors marks every descriptor above 2 so that no child inherits it. Call it once, before anything is
// started: Go marks those that it opens itself, but not those that this process was started with.
func SealDescriptors() error {
	return unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// isolated gives a child a session of its own, and death with its parent.
func isolated() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
}

// descendants lists the processes below pid, the deepest last. It misses those whose parent has died before.
func descendants(pid int) []int {
	proc := "/proc/" + strconv.Itoa(pid) + "/task/"
	tasks, err := os.ReadDir(proc)
	if err != nil {
		return nil
	}
	var found []int
	for _, task := range tasks {
		children, err := os.ReadFile(proc + task.Name() + "/children") //nolint:gosec // G304: the kernel's own
		if err != nil {
			continue
		}
		for word := range strings.FieldsSeq(string(children)) {
			if child, err := strconv.Atoi(word); err == nil {
				found = append(append(found, child), descendants(child)...)
			}
		}
	}
	return found
}

// limits are the resource limits of every process of a guest.
type limits struct {
	files     uint64
	fileSize  uint64
	memory    uint64
	processes uint64 // 0 for none
}

// apply sets the limits on a process and all below it. It comes after hello: then the tree stands still, and none of
// the author's code has run.
func (l limits) apply(pid int) error {
	for _, p := range append([]int{pid}, descendants(pid)...) {
		for resource, value := range map[int]uint64{
			unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: l.files, unix.RLIMIT_FSIZE: l.fileSize, unix.RLIMIT_DATA: l.memory,
			unix.RLIMIT_NPROC: l.processes,
		} {
			if resource == unix.RLIMIT_NPROC && l.processes == 0 {
				continue
			}
			if err := lower(p, resource, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// lower sets a limit, or leaves it where the process has a lower one already.
func lower(pid, resource int, value uint64) error {
	var now unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &now); err != nil {
		return os.NewSyscallError("prlimit", err)
	}
	limit := unix.Rlimit{Cur: min(value, now.Max), Max: min(value, now.Max)}
	return os.NewSyscallError("prlimit", unix.Prlimit(pid, resource, &limit, nil))
}

// countsPerNamespace says whether the kernel counts the processes of a user per user namespace (since 5.14). An older
// one would count all of the operator's own.
func countsPerNamespace() bool {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return false
	}
	parts := strings.SplitN(unix.ByteSliceToString(name.Release[:]), ".", 3)
	if len(parts) < 2 {
		return false
	}
	major, _ := strconv.Atoi(parts[0])
	minor, _ := strconv.Atoi(strings.TrimRight(parts[1], "-+rc"))
	return major > 5 || major == 5 && minor >= 14
}
