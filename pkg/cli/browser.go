package cli

import (
	"os"
	"path/filepath"
	"runtime"
)

// openLink opens a link in the browser of whoever sits at the terminal. Where there is neither, or it does not work, the
// printed link is all.
func openLink(w world, link string) {
	screen, ok := w.stderr.(*os.File)
	if !ok {
		return
	}
	if info, err := screen.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return
	}
	opener := browserOpener(w)
	if opener == "" {
		return
	}
	process, err := os.StartProcess(opener, []string{opener, link}, &os.ProcAttr{Env: browserEnv(w), Files: []*os.File{nil, nil, nil}})
	if err == nil {
		_ = process.Release() // it is the user's from here on
	}
}

// browserOpener is the program that opens links on this system, where there is a screen to open them on.
func browserOpener(w world) string {
	name := "xdg-open"
	if runtime.GOOS == "darwin" {
		name = "open"
	} else if w.env("DISPLAY", "") == "" && w.env("WAYLAND_DISPLAY", "") == "" {
		return ""
	}
	for _, dir := range filepath.SplitList(w.env("PATH", "")) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); filepath.IsAbs(path) && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path
		}
	}
	return ""
}

// browserEnv is what a browser needs to know, and none of our secrets.
func browserEnv(w world) []string {
	var env []string
	for _, name := range []string{
		"PATH", "HOME", "USER", "LANG", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "XDG_CURRENT_DESKTOP", "BROWSER",
	} {
		if value, ok := w.lookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
