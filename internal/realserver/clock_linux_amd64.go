package realserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the kernel tells a tracer, and where (ptrace(2), getauxval(3), seccomp(2)).
const (
	eventSeccomp = 7  // PTRACE_EVENT_SECCOMP
	auxEnd       = 0  // AT_NULL
	auxIgnore    = 1  // AT_IGNORE
	auxVDSO      = 33 // AT_SYSINFO_EHDR
	word         = 8
	maxStack     = 1 << 20 // bytes from the stack's end that arguments and environment may take
)

// RunSkewed runs a program of linux/amd64 whose wall clock is off by skew, while all others keep theirs, and
// returns its exit code. It has this process's standard files and environment, and ends with this process.
//
// The program is started without the vDSO, so that it has to ask the kernel for the time, and each of its
// calls clock_gettime(CLOCK_REALTIME) is answered here instead. All other calls run untouched.
func RunSkewed(skew time.Duration, path string, args ...string) (int, error) {
	// A tracer is a thread, and a filter of system calls is that of a thread and of what it starts.
	// The thread ends with this goroutine: nothing else must run under that filter.
	type outcome struct {
		code int
		err  error
	}
	done := make(chan outcome)
	go func() {
		runtime.LockOSThread()
		code, err := runSkewed(skew, path, args)
		done <- outcome{code, err}
	}()
	o := <-done
	return o.code, o.err
}

func runSkewed(skew time.Duration, path string, args []string) (int, error) {
	cmd := exec.Command(path, args...) //nolint:noctx // it ends with this process
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true, Pdeathsig: syscall.SIGKILL}
	if err := traceClock(); err != nil {
		return 0, fmt.Errorf("install the filter of system calls: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	pid := cmd.Process.Pid
	var status unix.WaitStatus
	if _, err := unix.Wait4(pid, &status, unix.WALL, nil); err != nil {
		return 0, fmt.Errorf("wait for the start: %w", err)
	}
	if err := hideVDSO(pid); err != nil {
		return 0, err
	}
	const options = unix.PTRACE_O_EXITKILL | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK | unix.PTRACE_O_TRACESECCOMP
	if err := unix.PtraceSetOptions(pid, options); err != nil {
		return 0, fmt.Errorf("trace: %w", err)
	}
	if err := unix.PtraceCont(pid, 0); err != nil {
		return 0, fmt.Errorf("go on: %w", err)
	}
	return traceUntilExit(pid, skew)
}

// traceClock makes each clock_gettime(CLOCK_REALTIME) of this thread, and of all that it starts, stop for
// the tracer. The filter is BPF over struct seccomp_data: nr at 0, arch at 4, the first argument at 16.
func traceClock() error {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	unless := func(value uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: skip, K: value}
	}
	answer := func(value uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value}
	}
	filter := []unix.SockFilter{
		load(4), unless(unix.AUDIT_ARCH_X86_64, 5),
		load(0), unless(unix.SYS_CLOCK_GETTIME, 3),
		load(16), unless(unix.CLOCK_REALTIME, 1),
		answer(unix.SECCOMP_RET_TRACE),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program))) //nolint:gosec // the kernel wants the address
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}

// hideVDSO takes the address of the vDSO out of what the kernel has laid on the stack of a program that has
// not begun: argc, arguments, 0, environment, 0, and pairs of type and value.
func hideVDSO(pid int) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(pid, &regs); err != nil {
		return fmt.Errorf("read registers: %w", err)
	}
	memory, err := os.OpenFile("/proc/"+strconv.Itoa(pid)+"/mem", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the program's memory: %w", err)
	}
	defer memory.Close()
	at, zeros := int64(regs.Rsp)+word, 0 // behind argc
	read := func(at int64) (uint64, error) {
		var b [word]byte
		_, err := memory.ReadAt(b[:], at)
		return binary.LittleEndian.Uint64(b[:]), err
	}
	for end := at + maxStack; at < end; at += word {
		v, err := read(at)
		if err != nil {
			return fmt.Errorf("read the program's stack: %w", err)
		}
		switch {
		case zeros < 2 && v == 0:
			zeros++
		case zeros < 2:
		case v == auxEnd:
			return nil // it has none
		case v == auxVDSO:
			_, err := memory.WriteAt(binary.LittleEndian.AppendUint64(nil, auxIgnore), at)
			return err
		default:
			at += word // its value
		}
	}
	return errors.New("the program's stack has another form")
}

// traceUntilExit answers the clock calls of all threads until the program ends.
func traceUntilExit(pid int, skew time.Duration) (int, error) {
	known := map[int]bool{pid: true}
	for {
		var status unix.WaitStatus
		id, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("wait for the program: %w", err)
		case id == pid && status.Exited():
			return status.ExitStatus(), nil
		case id == pid && status.Signaled():
			return 128 + int(status.Signal()), nil
		case !status.Stopped():
			delete(known, id) // a thread has ended
			continue
		}
		signal := 0
		switch event := status.TrapCause(); {
		case status.StopSignal() == unix.SIGTRAP && event == eventSeccomp:
			if err := answerClock(id, skew); err != nil && !errors.Is(err, unix.ESRCH) {
				return 0, err
			}
		case status.StopSignal() == unix.SIGTRAP && event > 0: // a thread was made; it stops by itself
		case !known[id] && status.StopSignal() == unix.SIGSTOP:
			known[id] = true
		default:
			signal = int(status.StopSignal())
		}
		if err := unix.PtraceCont(id, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return 0, fmt.Errorf("go on: %w", err)
		}
	}
}

// answerClock gives a thread that asks for the time another one, and skips its call.
func answerClock(id int, skew time.Duration) error {
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(id, &regs); err != nil {
		return err
	}
	now := time.Now().Add(skew)
	text := binary.LittleEndian.AppendUint64(nil, uint64(now.Unix()))
	text = binary.LittleEndian.AppendUint64(text, uint64(now.Nanosecond()))
	if _, err := unix.PtracePokeData(id, uintptr(regs.Rsi), text); err != nil {
		return err
	}
	regs.Orig_rax, regs.Rax = ^uint64(0), 0
	return unix.PtraceSetRegs(id, &regs)
}
