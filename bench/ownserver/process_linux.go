package ownserver

import "syscall"

// attributes make a program run as the owner. A server, which ends is not 0 for, has its own group (Ctrl-C
// is for us, who then stop it) and gets that signal when the thread that started it ends.
func (o *Owner) attributes(ends syscall.Signal) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if o != nil {
		a.Credential = &syscall.Credential{Uid: o.uid, Gid: o.gid, Groups: []uint32{o.gid}}
	}
	if ends != 0 {
		a.Setpgid, a.Pdeathsig = true, ends
	}
	return a
}
