package realserver

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// descendants returns the ids of all living processes that pid begot, nearest
// first. It reads /proc: PostgreSQL puts each of its processes into a session
// of its own, so a process group does not hold them together.
func descendants(pid int) []int {
	children := make(map[int][]int)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat") // the pattern is well-formed
	for _, path := range stats {
		data, err := os.ReadFile(path)
		if err != nil {
			continue // ended since the listing
		}
		if child, parent, ok := parseStat(data); ok {
			children[parent] = append(children[parent], child)
		}
	}
	family := children[pid]
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i]]...)
	}
	return family
}

// awaitEnd waits until processes that were killed have given back what they
// held. A signal only makes them end soon.
func awaitEnd(pids []int) {
	deadline := time.Now().Add(stopDeadline)
	for _, pid := range pids {
		for time.Now().Before(deadline) {
			stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
			if _, _, alive := parseStat(stat); err != nil || !alive {
				break
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// parseStat reads the process id and its parent's from a line of
// /proc/PID/stat (proc(5)): "pid (name) state ppid ...", where the name may
// hold any character. Zombies have ended and are not reported.
func parseStat(stat []byte) (pid, parent int, ok bool) {
	head, _, found := bytes.Cut(stat, []byte(" ("))
	end := bytes.LastIndex(stat, []byte(") "))
	if !found || end < 0 {
		return 0, 0, false
	}
	fields := bytes.Fields(stat[end+1:])
	if len(fields) < 2 || string(fields[0]) == "Z" {
		return 0, 0, false
	}
	pid, err := strconv.Atoi(string(head))
	if err != nil {
		return 0, 0, false
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return pid, parent, err == nil
}
