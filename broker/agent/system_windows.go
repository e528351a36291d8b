package agent

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

// WTS_INFO_CLASS of WTSQuerySessionInformation.
const (
	wtsUserName   = 5
	wtsDomainName = 7
)

// systemSessions asks the Remote Desktop Services of this machine. Sessions without a user (the
// services', the listener's, a sign-in screen) are none.
func systemSessions(context.Context) ([]Session, error) {
	var list *windows.WTS_SESSION_INFO
	var n uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &list, &n); err != nil {
		return nil, fmt.Errorf("WTSEnumerateSessions: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(list)))
	var out []Session
	for _, info := range unsafe.Slice(list, n) {
		user, err := sessionText(info.SessionID, wtsUserName)
		if err != nil {
			return nil, err
		}
		if user == "" || !line(user) {
			continue
		}
		if domain, err := sessionText(info.SessionID, wtsDomainName); err == nil && domain != "" && line(domain+`\`+user) {
			user = domain + `\` + user
		}
		s := Session{User: user, State: Disconnected}
		if info.State == windows.WTSActive {
			s.State = Active
		}
		out = append(out, s)
	}
	return out, nil
}

// sessionText asks for one property of a session.
func sessionText(id uint32, class uintptr) (string, error) {
	query := windows.NewLazySystemDLL("wtsapi32.dll").NewProc("WTSQuerySessionInformationW")
	var text *uint16
	var size uint32
	ok, _, err := query.Call(0, uintptr(id), class, uintptr(unsafe.Pointer(&text)), uintptr(unsafe.Pointer(&size)))
	if ok == 0 {
		return "", fmt.Errorf("WTSQuerySessionInformation of session %d: %w", id, err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(text)))
	return windows.UTF16PtrToString(text), nil
}

// systemLoad is the share of the processors' time that was not idle since the last call.
func systemLoad() func() float64 {
	times := windows.NewLazySystemDLL("kernel32.dll").NewProc("GetSystemTimes")
	var mu sync.Mutex
	var lastIdle, lastBusy uint64
	return func() float64 {
		var idle, kernel, user windows.Filetime
		ok, _, _ := times.Call(uintptr(unsafe.Pointer(&idle)), uintptr(unsafe.Pointer(&kernel)), uintptr(unsafe.Pointer(&user)))
		if ok == 0 {
			return 0
		}
		mu.Lock()
		defer mu.Unlock()
		i, all := ticks(idle), ticks(kernel)+ticks(user) // the kernel's time has the idle one in it
		di, dall := i-lastIdle, all-lastBusy
		lastIdle, lastBusy = i, all
		if dall == 0 || di > dall {
			return 0
		}
		return float64(dall-di) / float64(dall)
	}
}

func ticks(f windows.Filetime) uint64 { return uint64(f.HighDateTime)<<32 | uint64(f.LowDateTime) }

func systemUptime() (time.Duration, error) { return windows.DurationSinceBoot(), nil }
