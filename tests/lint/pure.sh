#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# src/policy and src/wire are pure: no descriptor, file, clock, environment, process or
# log. Writing into memory (snprintf, a memory stream) is not I/O.
set -eu
. "$(dirname "$0")/lib.sh"

headers='fcntl|unistd|poll|time|dirent|netdb|pthread|signal|sched|spawn|sys/(stat|ioctl'
headers="$headers"'|epoll|time|wait|mman|uio|eventfd|signalfd|timerfd|prctl|syscall)'
calls='open|openat|open64|creat|read|write|pread|pwrite|readv|writev|close|dup|dup2|dup3'
calls="$calls|socket|socketpair|connect|bind|listen|accept|accept4|send|sendto|sendmsg"
calls="$calls|recv|recvfrom|recvmsg|setsockopt|getsockopt|getsockname|getpeername|shutdown"
calls="$calls|ioctl|fcntl|poll|ppoll|select|pselect|epoll_[a-z0-9_]+|pipe|pipe2|eventfd"
calls="$calls|fopen|fdopen|freopen|popen|tmpfile|fread|fgets|getline|getdelim|scanf|fscanf"
calls="$calls|printf|vprintf|puts|putchar|perror|syslog|log_[a-z]+"
calls="$calls|stat|lstat|fstat|access|unlink|rename|mkdir|opendir|readdir|mmap|getaddrinfo"
calls="$calls|time|clock_gettime|gettimeofday|sleep|usleep|nanosleep|getenv|secure_getenv"
calls="$calls|setenv|getpid|getppid|getuid|geteuid|fork|vfork|clone|exec[vl][ep]*|system"
calls="$calls|exit|_exit|kill|signal|sigaction|syscall|random|rand|getrandom"

check()
{
	files '^src/(policy|wire)/.*\.[ch]$' | while IFS= read -r file; do
		grep -nE "^[ \t]*#[ \t]*include[ \t]*(<($headers)\.h>|\"base/(fd|log)\.h\")" \
			"$file" | sed "s,^,$file:,;s/\$/ : a pure folder/" || true
		strip_c "$file" |
			grep -nE "(^|[^A-Za-z0-9_.>])($calls)[ \t]*\(|[^a-z_](stdout|stderr|stdin)[^a-z_]" |
			sed "s,^,$file:,;s/\$/ : a pure folder/" || true
	done
}

finish "$(check)"
