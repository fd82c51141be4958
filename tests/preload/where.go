// SPDX-License-Identifier: GPL-2.0-or-later

// What where.c does, in a static Go program: listens on port 7000 and says whether that is
// in the process's own network namespace.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

const soNetnsCookie = 71

func cookieOf(fd uintptr) (cookie uint64) {
	size := uint32(8)
	syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, syscall.SOL_SOCKET, soNetnsCookie,
		uintptr(unsafe.Pointer(&cookie)), uintptr(unsafe.Pointer(&size)), 0)
	return
}

func main() {
	listener, err := net.Listen("tcp4", "0.0.0.0:7000")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	raw, _ := listener.(*net.TCPListener).SyscallConn()
	var cookie uint64
	raw.Control(func(fd uintptr) { cookie = cookieOf(fd) })
	own, _ := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if cookie == cookieOf(uintptr(own)) {
		fmt.Println("own")
	} else {
		fmt.Println("grafted")
	}
	io.Copy(io.Discard, os.Stdin)
}
