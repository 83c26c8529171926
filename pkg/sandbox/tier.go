package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/behalf-dev/behalf/pkg/fault"
)

// Tier is how much a guest is kept from the rest of the machine.
type Tier string

// The tiers.
const (
	// Sandboxed guests run under bubblewrap: their own processes, mounts, users, host name and /tmp. They share the
	// network.
	Sandboxed Tier = "sandboxed"
	// Bare guests run as the operator, with resource limits only: they read what the operator reads, and a process that
	// they detach may outlive them.
	Bare Tier = "bare"
)

// minNode is the first major version of Node that can load source from the socket and show the author's own lines.
const minNode = 24

// command is what is started for a guest, before its limits.
type command struct {
	path string
	args []string
	dir  string // where it works; empty for a folder of its own
}

// launcher knows how guests are started on this machine.
type launcher struct {
	tier Tier
	why  string // why the tier is no better; for the operator
	cmd  command
	lim  limits
}

// newLauncher finds Node and probes the tiers by starting it in them.
func newLauncher(ctx context.Context, cfg Config) (launcher, error) {
	node, err := findNode(ctx, cfg.Node)
	if err != nil {
		return launcher{}, err
	}
	run := command{path: node, args: cfg.guestArgs()}
	return chooseTier(ctx, cfg, run, []string{"-e", "0"}), nil
}

// chooseTier takes the best tier in which the command runs with the arguments of a trial.
func chooseTier(ctx context.Context, cfg Config, run command, trial []string) launcher {
	l := launcher{tier: Bare, cmd: run, lim: limits{files: cfg.MaxFiles, fileSize: uint64(max(0, cfg.TmpSize)), memory: cfg.MaxMemory}}
	bwrap, err := findBwrap(cfg.Bwrap)
	if err == nil {
		_, err = probe(ctx, wrap(bwrap, cfg.TmpSize, command{path: run.path, args: trial}))
	}
	if err != nil {
		l.why = err.Error()
		return l
	}
	l.tier, l.cmd = Sandboxed, wrap(bwrap, cfg.TmpSize, run)
	if countsPerNamespace() {
		l.lim.processes = cfg.MaxProcesses
	}
	return l
}

func findBwrap(path string) (string, error) {
	if path == NoBwrap {
		return "", errors.New("bubblewrap is switched off")
	}
	if path != "" {
		return path, nil
	}
	return exec.LookPath("bwrap")
}

// findNode returns the real path of the binary: what is named may be a link, or the shim of a version manager.
func findNode(ctx context.Context, named string) (string, error) {
	path := named
	if path == "" {
		found, err := exec.LookPath("node")
		if err != nil {
			return "", refuseNode("there is no node here").Because(err)
		}
		path = found
	}
	out, err := probe(ctx, command{path: path, args: []string{"-p", `process.versions.node + "\n" + process.execPath`}, dir: "/"})
	if err != nil {
		return "", refuseNode(fmt.Sprintf("%s does not run", path)).Because(err)
	}
	version, real, _ := strings.Cut(strings.TrimSpace(out), "\n")
	major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
	if err != nil || major < minNode || !filepath.IsAbs(real) {
		return "", refuseNode(fmt.Sprintf("%s is Node %.40q", path, version))
	}
	return real, nil
}

func refuseNode(found string) *fault.Error {
	return fault.Newf(fault.Unavailable, "sandbox.New",
		"%s, and steps need Node %d or newer; install it, then type: export BEHALF_NODE=/path/to/node", found, minNode)
}

// probe runs a command to its end, in an empty environment, and returns what it printed.
func probe(ctx context.Context, c command) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, c.args...)
	cmd.Env = []string{}
	cmd.Dir = c.dir
	cmd.SysProcAttr = isolated()
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err == nil {
		return string(out), nil
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: %w: %.200s", c.path, err, failed.Stderr)
	}
	return "", fmt.Errorf("%s: %w", c.path, err)
}

// wrap puts a command into bubblewrap. Nothing in the arguments is secret: they can be read inside.
func wrap(bwrap string, tmpSize int64, c command) command {
	size := strconv.FormatInt(tmpSize, 10)
	args := []string{
		"--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
		"--disable-userns", "--die-with-parent", "--cap-drop", "ALL", "--clearenv",
		"--uid", "1000", "--gid", "1000", "--hostname", "step",
		"--ro-bind", "/usr", "/usr",
	}
	for _, dir := range []string{"/lib", "/lib32", "/lib64", "/bin", "/sbin"} {
		args = append(args, systemDir(dir)...)
	}
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/ssl/certs"} { // to find and trust hosts
		args = append(args, "--ro-bind-try", file, file)
	}
	args = append(args,
		// Where the operator is root, the kernel's own settings could be written through a /proc that is not read-only.
		"--proc", "/proc", "--remount-ro", "/proc",
		// A /dev of bubblewrap can hold half of the machine's memory.
		"--dev", "/dev", "--size", size, "--tmpfs", "/dev/shm", "--remount-ro", "/dev",
		"--size", size, "--tmpfs", "/tmp",
		"--ro-bind", c.path, "/node", "--remount-ro", "/", "--chdir", "/tmp", "--", "/node")
	return command{path: bwrap, args: append(args, c.args...), dir: "/"}
}

// systemDir is how a folder of libraries or binaries looks inside as it does outside: a link into /usr, or a folder.
func systemDir(dir string) []string {
	if target, err := os.Readlink(dir); err == nil {
		return []string{"--symlink", target, dir}
	}
	return []string{"--ro-bind-try", dir, dir}
}
