//go:build !linux

package main

import "errors"

// adoptOrphans says why the bench does not run here.
func adoptOrphans() error { return errors.New("the bench reads /proc and runs on Linux only") }
