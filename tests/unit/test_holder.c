/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What graft-holder does with messages and with their end; the test is graftd.
 */
#include "kept.h"

#include <sys/prctl.h>

static int start_holder(int patience_ms, pid_t *ret_pid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/" HOLDER_SOCKET,
		 directory);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 4), 0);
	*ret_pid = fork();
	/* Not to be left behind by a test that fails. */
	if (*ret_pid == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		_exit(-holder_run(fd, dup(state), patience_ms));
	fd_close(fd);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int connect_again(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/" HOLDER_SOCKET,
		 directory);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void assert_ended(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(has_path());
}

static void test_patience(void **unused)
{
	pid_t pid;
	int via = start_holder(200, &pid), ends[2];
	uint64_t start;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fd_send(via, "px", 2, &ends[0], 1), 0);
	fd_close(ends[0]);
	start = event_now_ns();
	fd_close(via);
	await_closed(ends[1]);
	assert_true(event_now_ns() - start >= 190 * 1000000ull);
	assert_ended(pid);
	fd_close(ends[1]);
}

/* With nothing to keep there is nothing to wait for. */
static void test_nothing_kept(void **unused)
{
	pid_t pid;
	int via = start_holder(3600 * 1000, &pid);

	fd_close(via);
	assert_ended(pid);
}

/* The newest graftd counts, and what the one before had sent is not lost. */
static void test_newest(void **unused)
{
	pid_t pid;
	int first = start_holder(3600 * 1000, &pid), second, ends[2], fd = -1;
	char message[HOLDER_MESSAGE_MAX + 1] = "";
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	kill(pid, SIGSTOP);
	assert_int_equal(fd_send(first, "px", 2, &ends[0], 1), 0);
	second = connect_again();
	assert_int_equal(fd_send(second, "t", 1, NULL, 0), 0);
	kill(pid, SIGCONT);
	assert_int_equal(fd_receive(second, message, sizeof(message), &fd, 1, NULL), 2);
	assert_memory_equal(message, "hx", 2);
	assert_same_pipe(ends[1], fd);
	n = fd_receive(second, message, sizeof(message) - 1, NULL, 0, NULL);
	assert_true(n > 1);
	message[n] = '\0';
	assert_int_equal(message[0], 'd');
	assert_int_equal(atoi(message + 1), pid);
	assert_int_equal(read(first, message, 1), 0);
	assert_int_equal(fd_send(second, "e", 1, NULL, 0), 0);
	assert_ended(pid);
	fd_close(fd);
	fd_close(first);
	fd_close(second);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

/* No message of ours: hung up, and what is kept is kept. */
static void test_nonsense(void **unused)
{
	static const char *const nonsense[] = { "", "?", "p", "px", "hx", "d" };
	char big[HOLDER_MESSAGE_MAX + 100], byte;
	pid_t pid;
	int via = start_holder(3600 * 1000, &pid), ends[2], fd = -1;

	memset(big, 'p', sizeof(big));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fd_send(via, "pkept", 5, &ends[0], 1), 0);
	for (size_t i = 1; i < ARRAY_SIZE(nonsense); i++) {
		fd_close(via);
		via = connect_again();
		assert_int_equal(fd_send(via, nonsense[i], strlen(nonsense[i]), NULL, 0),
				 0);
		assert_int_equal(read(via, &byte, 1), 0);
	}
	fd_close(via);
	via = connect_again();
	/* Too long: not kept, and said so. */
	assert_int_equal(fd_send(via, big, sizeof(big), &ends[0], 1), 0);
	assert_int_equal(read(via, big, sizeof(big)), 1);
	assert_int_equal(big[0], 'f');
	assert_int_equal(fd_send(via, "t", 1, NULL, 0), 0);
	assert_int_equal(fd_receive(via, big, sizeof(big), &fd, 1, NULL), 5);
	assert_memory_equal(big, "hkept", 5);
	fd_close(fd);
	assert_int_equal(fd_send(via, "e", 1, NULL, 0), 0);
	assert_ended(pid);
	fd_close(via);
	fd_close(ends[0]);
	fd_close(ends[1]);
}

static void test_other_user(void **unused)
{
	char path[128], byte;
	pid_t pid, child;
	int via = start_holder(3600 * 1000, &pid), status;

	if (geteuid() != 0) {
		fd_send(via, "e", 1, NULL, 0);
		assert_ended(pid);
		fd_close(via);
		skip();
	}
	/* Past the mode, which keeps him away before that. */
	snprintf(path, sizeof(path), "%s/" HOLDER_SOCKET, directory);
	assert_int_equal(chmod(path, 0666), 0);
	assert_int_equal(chmod(directory, 0755), 0);
	child = fork();
	if (child == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		fd_close(via);
		via = connect_again();
		fd_send(via, "e", 1, NULL, 0);
		_exit(read(via, &byte, 1) != 0 && errno != ECONNRESET);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	chmod(directory, 0700);
	/* Ours was not even hung up. */
	assert_int_equal(fd_send(via, "t", 1, NULL, 0), 0);
	assert_int_equal(read(via, &byte, 1), 1);
	assert_int_equal(byte, 'd');
	fd_send(via, "e", 1, NULL, 0);
	assert_ended(pid);
	fd_close(via);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patience),   cmocka_unit_test(test_nothing_kept),
		cmocka_unit_test(test_newest),     cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_other_user),
	};
	int r;

	if (!make_directory("/tmp/test_holder.XXXXXX"))
		return 1;
	r = cmocka_run_group_tests(tests, NULL, NULL);
	remove_directory();
	return r;
}
