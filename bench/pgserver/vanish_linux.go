package pgserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Ways for the server to go away without a word, and back.

// Pause stops the server and all its processes with SIGSTOP: the kernel takes connections for it, and
// nothing answers until Resume. Paused it does not end with the process that started it.
func (s *Server) Pause() error {
	s.freeze()
	return nil
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	select {
	case <-s.Done():
	default:
		signalAll(append(descendants(s.PID()), s.PID()), syscall.SIGCONT)
	}
}

// Kill ends the server and all its processes at once, as a crash of the machine would, and waits until
// they are gone. What was committed is there after Restart.
func (s *Server) Kill() error {
	family := s.freeze()
	signalAll(append(family, s.PID()), syscall.SIGKILL)
	<-s.Done()
	for end := time.Now().Add(stopGrace); len(family) > 0; { // the next start would find their memory in use
		if !lives(family[0]) {
			family = family[1:]
			continue
		}
		if time.Now().After(end) {
			return fmt.Errorf("process %d of PostgreSQL does not end", family[0])
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}

// Restart starts a server that has ended, at the same address with the same data; it serves when Restart
// returns.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.launch(); err != nil {
		return fmt.Errorf("start PostgreSQL again: %w", err)
	}
	if err := s.await(ctx); err != nil {
		return fmt.Errorf("start PostgreSQL again: %w; the end of %s:\n%s", err, s.log, s.LogEnd())
	}
	return nil
}

// freeze stops all processes and returns those that the first one begot. That goes first, so that none
// is born afterwards; two looks that agree catch those that were being born meanwhile.
func (s *Server) freeze() []int {
	signalAll([]int{s.PID()}, syscall.SIGSTOP)
	known := -1
	for {
		family := descendants(s.PID())
		if len(family) == known {
			return family
		}
		signalAll(family, syscall.SIGSTOP)
		known = len(family)
	}
}

func signalAll(pids []int, sig syscall.Signal) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, sig) // one that has ended needs no signal
	}
}

// descendants lists the living processes that pid begot. PostgreSQL puts each of its processes into a
// session of its own, so a process group does not hold them together.
func descendants(pid int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if parent, ok := parentOf(child); ok {
			children[parent] = append(children[parent], child)
		}
	}
	family := children[pid]
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}

func lives(pid int) bool {
	_, ok := parentOf(pid)
	return ok
}

// parentOf reads /proc/PID/stat (proc(5)): "pid (name) state ppid ...", where the name may hold any
// character. ok is false for a process that has ended.
func parentOf(pid int) (parent int, ok bool) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 2 || string(fields[0]) == "Z" {
		return 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, err == nil
}
