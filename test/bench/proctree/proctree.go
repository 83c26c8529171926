// Package proctree reads what processes and all their descendants have used, from a proc file system: a sandboxed
// guest stands several processes below the one that was started, and its CPU belongs to the run all the same.
//
// It never starts or ends a process.
package proctree

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// tick is the unit of CPU times in a stat file: USER_HZ, which Linux has fixed at 100 for programs.
const tick = time.Second / 100

// Process is one process as its stat file tells it.
type Process struct {
	PID, Parent int
	// CPU is user and system time of the process and of those of its children that ended and were waited for, so that
	// nothing is lost when a child ends.
	CPU time.Duration
	// RSS is its resident memory in bytes. Pages shared with others count in each.
	RSS int64
}

// Usage is what a set of processes has used: those that were named, and what descends from them.
type Usage struct {
	Own, Children Sum
}

// Sum adds up processes.
type Sum struct {
	CPU time.Duration
	RSS int64
}

// CPU is that of all.
func (u Usage) CPU() time.Duration { return u.Own.CPU + u.Children.CPU }

// RSS is that of all.
func (u Usage) RSS() int64 { return u.Own.RSS + u.Children.RSS }

// Of reads the usage of the roots and all their descendants. A root that descends from another counts as a root.
func Of(proc string, roots []int) (Usage, error) {
	all, err := read(proc)
	if err != nil {
		return Usage{}, err
	}
	var u Usage
	named := map[int]bool{}
	for _, pid := range roots {
		p, ok := all[pid]
		if !ok {
			return Usage{}, fmt.Errorf("process %d is gone", pid)
		}
		named[pid] = true
		u.Own.add(p)
	}
	for _, p := range all {
		if !named[p.PID] && descends(all, p, named) {
			u.Children.add(p)
		}
	}
	return u, nil
}

// Descendants lists the processes below one, not itself.
func Descendants(proc string, root int) ([]Process, error) {
	all, err := read(proc)
	if err != nil {
		return nil, err
	}
	var below []Process
	for _, p := range all {
		if p.PID != root && descends(all, p, map[int]bool{root: true}) {
			below = append(below, p)
		}
	}
	return below, nil
}

func (s *Sum) add(p Process) {
	s.CPU += p.CPU
	s.RSS += p.RSS
}

func descends(all map[int]Process, p Process, from map[int]bool) bool {
	// The list is not read in one instant, so parents may form a ring of PIDs used again: no walk is longer than the list.
	for range len(all) {
		if from[p.Parent] {
			return true
		}
		parent, ok := all[p.Parent]
		if !ok {
			return false
		}
		p = parent
	}
	return false
}

func read(proc string) (map[int]Process, error) {
	stats, err := filepath.Glob(filepath.Join(proc, "[0-9]*", "stat"))
	if err != nil {
		return nil, err
	}
	all := make(map[int]Process, len(stats))
	for _, name := range stats {
		b, err := os.ReadFile(name)
		if err != nil {
			continue // it ended since it was listed
		}
		p, err := parse(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all[p.PID] = p
	}
	return all, nil
}

// parse reads a stat file. The name of the program stands in parentheses and may hold anything, parentheses and spaces
// too; what follows the last parenthesis is numbers.
func parse(stat []byte) (Process, error) {
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open {
		return Process{}, fmt.Errorf("no name in parentheses: %q", stat)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(stat[:open])))
	if err != nil {
		return Process{}, fmt.Errorf("process id: %w", err)
	}
	// The numbers of proc(5), less the three before: state is 3, and stands at 0 here.
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 22 {
		return Process{}, fmt.Errorf("only %d fields after the name", len(fields))
	}
	number := func(n int) int64 {
		v, atoiErr := strconv.ParseInt(string(fields[n-3]), 10, 64)
		if atoiErr != nil && err == nil {
			err = fmt.Errorf("field %d: %w", n, atoiErr)
		}
		return v
	}
	ticks := number(14) + number(15) + number(16) + number(17) // utime, stime, cutime, cstime
	p := Process{
		PID:    pid,
		Parent: int(number(4)),
		CPU:    time.Duration(ticks) * tick,
		RSS:    number(24) * int64(os.Getpagesize()),
	}
	return p, err
}
