package broker

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// HostLoad is how busy the host of a broker has been in the last minute: the whole host, not this process
// alone, because a broker is as fast as what others leave it (OP2).
type HostLoad struct {
	CPUs    int     // 0: the host does not say how busy it is
	Average float64 // load average of the last minute
	Busy    float64 // share of its CPU time that was used, 0 to 1
	Steal   float64 // share that the hypervisor gave to other guests, 0 to 1
}

// String reads as "load 0.51 of 4 CPUs, busy 12%, steal 3%"; a host that does not say has none.
func (l HostLoad) String() string {
	if l.CPUs == 0 {
		return ""
	}
	return fmt.Sprintf("load %.2f of %d CPUs, busy %.0f%%, steal %.0f%%", l.Average, l.CPUs, 100*l.Busy, 100*l.Steal)
}

// hostSample is what the kernel has counted since the host was started, in ticks of 10 ms.
type hostSample struct {
	at                 time.Time
	cpus               int
	average            float64
	total, idle, steal uint64 // of all CPUs
	own                uint64 // of this process
}

// between says how busy the host was from one sample to a later one.
func between(a, b hostSample) HostLoad {
	l := HostLoad{CPUs: b.cpus, Average: b.average}
	// The kernel's counters of idle and stolen time may go back a little (proc(5)).
	if total := growth(a.total, b.total); total > 0 {
		l.Steal = min(1, growth(a.steal, b.steal)/total)
		l.Busy = max(0, 1-l.Steal-growth(a.idle, b.idle)/total)
	}
	return l
}

func growth(from, to uint64) float64 {
	if to < from {
		return 0
	}
	return float64(to - from)
}

// readHost asks the kernel. Other systems than Linux do not answer.
func readHost() (hostSample, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return hostSample{}, err
	}
	own, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return hostSample{}, err
	}
	s, err := parseStat(string(stat))
	if err != nil {
		return s, err
	}
	if s.own, err = parseOwnStat(string(own)); err != nil {
		return s, err
	}
	s.average, err = LoadAverage()
	s.at = time.Now()
	return s, err
}

// parseStat reads the first lines of /proc/stat: "cpu" is the sum of all processors, and a "cpuN" each of
// them. The fields are user, nice, system, idle, iowait, irq, softirq, steal; what guests used is in user
// already.
func parseStat(text string) (s hostSample, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || !strings.HasPrefix(fields[0], "cpu"):
		case fields[0] != "cpu":
			s.cpus++
		case len(fields) < 9:
			return s, fmt.Errorf("/proc/stat: %q has fewer than 8 numbers", strings.TrimSpace(line))
		default:
			for i, f := range fields[1:9] {
				n, err := strconv.ParseUint(f, 10, 64)
				if err != nil {
					return s, fmt.Errorf("/proc/stat: %q is no number", f)
				}
				s.total += n
				switch i {
				case 3, 4:
					s.idle += n
				case 7:
					s.steal = n
				}
			}
		}
	}
	if s.cpus == 0 || s.total == 0 {
		return s, fmt.Errorf("/proc/stat names no processor")
	}
	return s, nil
}

// parseOwnStat reads user and system time, fields 14 and 15 of /proc/self/stat. The name of the program
// stands before them in brackets, and may hold anything.
func parseOwnStat(text string) (uint64, error) {
	_, rest, found := strings.Cut(text[strings.LastIndexByte(text, ')')+1:], " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/self/stat has another form")
	}
	user, err := strconv.ParseUint(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/stat: %w", err)
	}
	system, err := strconv.ParseUint(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("/proc/self/stat: %w", err)
	}
	return user + system, nil
}

// LoadAverage is that of the host in the last minute (proc(5), loadavg).
func LoadAverage() (float64, error) {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(text), " ")
	return strconv.ParseFloat(first, 64)
}

// hostID tells the host of this process from others, containers of one host not from each other: it is
// made of the id of the running kernel's start. "" on a system that has none.
func hostID() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(string(text))))
	return hex.EncodeToString(sum[:6])
}
