package admin

import (
	"fmt"
	"time"
)

// stamp is a moment as the pages show it: UTC, and how long ago.
type stamp struct{ Machine, Text, Age string }

// stampOf is empty for the zero time, which means never.
func stampOf(t, now time.Time) stamp {
	if t.IsZero() {
		return stamp{}
	}
	t = t.UTC()
	return stamp{Machine: t.Format(time.RFC3339), Text: t.Format("2006-01-02 15:04:05"), Age: ago(now.Sub(t))}
}

// ago says how long ago something was, or will be.
func ago(d time.Duration) string {
	switch {
	case d <= -time.Second:
		return "in " + span(-d)
	case d < time.Second:
		return "now"
	}
	return span(d) + " ago"
}

// span is a duration in the one or two units that a person would name.
func span(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour && d%time.Hour < time.Minute:
		return fmt.Sprintf("%d h", int(d.Hours()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}
