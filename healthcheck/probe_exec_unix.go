//go:build unix

package healthcheck

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the program into a process group of its own, and makes the end of its time the
// end of that whole group.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		killGroup(cmd)
		return nil
	}
}

// killGroup ends what is left of the group. It is called right before or after the program was
// waited for: the kernel hands out numbers in turn, so the group's is not anybody else's yet.
func killGroup(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // whoever ended meanwhile needs no signal
}
