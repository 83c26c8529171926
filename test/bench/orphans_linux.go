package main

import "golang.org/x/sys/unix"

// adoptOrphans makes this process the parent of whatever is orphaned below it, instead of init: so it still finds what
// it has to end when the process between is gone.
func adoptOrphans() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }
