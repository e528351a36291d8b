package jobs

import "fmt"

// Load is what decides how many more jobs this broker takes.
type Load struct {
	CPUs    int
	Average float64 // load average of the last minute
	Running int     // jobs
	Logins  float64 // share of the broker's login places that are taken, 0 to 1
}

// MaxJobs is how many jobs a broker runs at once.
func (l Load) MaxJobs() int { return 4*l.CPUs + 4 }

// MaxAverage is the load average above which jobs wait.
func (l Load) MaxAverage() float64 { return 1.1*float64(l.CPUs) + 0.8 }

// Allow says how many jobs may be claimed now, and why not more. A broker with half of its login
// places taken, or on a machine under load, leaves jobs to the others. One job at a time always
// goes on: where all brokers are busy, jobs are late but not for ever.
func (l Load) Allow() (n int, why string) {
	free := l.MaxJobs() - l.Running
	switch {
	case free <= 0:
		return 0, fmt.Sprintf("%d jobs are running, the most for %d CPUs", l.Running, l.CPUs)
	case l.Average > l.MaxAverage():
		return max(0, 1-l.Running), fmt.Sprintf("load average %.2f is above %.2f", l.Average, l.MaxAverage())
	case l.Logins >= 0.5:
		return max(0, 1-l.Running), fmt.Sprintf("logins come first: %.0f%% of their places are taken", 100*l.Logins)
	}
	// Between no login and half of the places taken, the rest shrinks evenly.
	if n = max(1, int(float64(free)*(1-2*l.Logins))); n < free {
		why = fmt.Sprintf("logins come first: %.0f%% of their places are taken", 100*l.Logins)
	}
	return n, why
}
