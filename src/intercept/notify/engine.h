/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside the notify engine.
 *
 * Threads ("workers") all do the same: receive a notification, answer it, repeat. One of
 * them receives at a time, for the kernel wakes all that wait at each call. When it
 * blocks (a connect to a far host, a full send buffer), another one gets its place;
 * coming back to find the place taken, it parks. Handing the place over costs more than
 * a connect that is over at once, so it is done late, by notify_tick(), unless calls
 * were seen to block lately. No worker holds a lock while it makes a system call on
 * behalf of the program.
 *
 * Each listener has workers of its own; all of them share what the engine knows.
 *
 * Lock order: blocked_lock, then the lock of a listener, which is a leaf.
 */
#pragma once

#include <linux/seccomp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/address.h"
#include "intercept/notify/notify.h"
#include "policy/policy.h"
#include "stack/bound.h"
#include "stack/carry.h"
#include "stack/diag.h"
#include "stack/held.h"
#include "wire/wire.h"

#define PIDFD_CACHE_SIZE   64 /* per worker */
#define WORKERS_MAX        512
#define WORKER_BUFFER_SIZE (64 * 1024)
#define WORKERS_PARKED_MAX 4 /* more of them leave */

#define GUESS_SLOTS 1024
#define GUESS_ROWS  4 /* {v4, v6} x {tcp, udp} */

struct guess {
	atomic_int thread;
	atomic_int count[GUESS_ROWS]; /* above 0: host */
};

struct notify {
	struct notify_config config;
	struct policy_reach reach;
	int tick_fd;
	atomic_bool nested; /* somebody in the run entered another network namespace */
	atomic_bool shares_tables; /* some processes have one descriptor table */
	atomic_int n_workers;      /* of all listeners */
	atomic_int eagerness;      /* above 0: calls block lately, hand over at once */
	pthread_mutex_t blocked_lock;
	struct call *blocked; /* calls that may be blocking, newest first */
	bool is_ticking;      /* guarded by blocked_lock */
	unsigned int n_idle_ticks;
	struct bound *bound;    /* has a lock of its own */
	struct held *held;      /* so has this */
	struct named *named;    /* and this */
	struct family *family;  /* and this */
	atomic_bool has_family; /* somebody made a socket of AF_GRAFT */
	atomic_int guess_run[GUESS_ROWS];
	struct guess guesses[GUESS_SLOTS];
	atomic_uint_fast64_t n_calls, n_grafts, n_swaps, n_refused;
};

/* A filter's notifications, and the threads that answer them. */
struct listener {
	struct notify *notify;
	int fd;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t wanted;
	int n_workers, n_parked, n_wanted;
	bool is_received;      /* somebody receives, or was told to */
	struct worker *worker; /* the one that receives; NULL: on its way, or none */
	bool is_over;          /* nobody is left to call: the workers leave */
};

struct pidfd_slot {
	pid_t pid;
	int fd;
};

/* A TCP socket we made, by its SO_COOKIE: what it is cannot change. */
struct known {
	uint64_t cookie, netns;
	int domain;
};

#define KNOWN_SIZE 256 /* per worker */

struct worker {
	struct notify *notify;
	struct listener *listener;
	pthread_t thread;
	bool joins;          /* it has to join what ops->join() is for */
	bool pidfd_is_exact; /* PIDFD_THREAD works: a slot dies with its thread */
	struct pidfd_slot slots[PIDFD_CACHE_SIZE];
	struct known known[KNOWN_SIZE];
	char *buffer; /* WORKER_BUFFER_SIZE, made on first use: copies of data to send */
};

struct sibling;

/* A move whose epoll registrations are still on the old socket. */
struct moving {
	struct sibling *siblings; /* NULL: none */
	int n_siblings;
	int old;
};

/* One trapped call. */
struct call {
	struct notify *notify;
	struct worker *worker;
	uint64_t id;
	pid_t pid; /* of the thread */
	int nr;
	uint64_t args[6];
	struct moving moving;
	/* Guarded by blocked_lock while the call is on notify->blocked. */
	struct call *next;
	uint64_t since_ns, checked_ns;
	bool has_place; /* the worker is the one that receives */
};

/* How a call ends. */
enum answer_kind {
	ANSWER_VALUE,
	ANSWER_ERROR,    /* value is the negative errno */
	ANSWER_CONTINUE, /* the kernel runs the call as the program made it */
	ANSWER_SENT,     /* already answered (a descriptor was installed) */
};

struct answer {
	enum answer_kind kind;
	int64_t value;
};

static inline struct answer answer_result(int64_t result)
{
	return (struct answer){ result < 0 ? ANSWER_ERROR : ANSWER_VALUE, result };
}

static inline struct answer answer_continue(void)
{
	return (struct answer){ ANSWER_CONTINUE, 0 };
}

/* What is known of the socket a call names. */
enum place {
	PLACE_HOST,  /* in the host's stack or an endpoint's, whoever keeps it: grafted */
	PLACE_OWN,   /* in the program's own */
	PLACE_OTHER, /* in a namespace that is none of our business */
};

struct subject {
	int fd;     /* our reference to the program's socket */
	int number; /* the program's number for it */
	int domain, protocol;
	enum policy_proto proto; /* valid for inet domains */
	enum place place;
	uint64_t netns;  /* cookie */
	uint64_t cookie; /* of the socket; 0: not asked yet */
};

static inline bool subject_is_inet(const struct subject *subject)
{
	return subject->domain == AF_INET || subject->domain == AF_INET6;
}

/* --- serve.c --- */

/* True while the program still waits for this call: what was read from it until now was
 * its own. */
bool call_is_live(const struct call *call);
/* To be called around a system call that may block; see notify_tick. */
void call_enter_blocking(struct call *call);
void call_leave_blocking(struct call *call);

static inline int call_listener(const struct call *call)
{
	return call->worker->listener->fd;
}

/* --- gate.c --- */

/* What the filter @code returns for @data, as the kernel would run it. */
uint32_t gate_ask(const struct sock_filter *code, size_t n,
		  const struct seccomp_data *data);

/* --- target.c: reaching into the program --- */

/* Copies @size bytes at @address of the program. Return: 0 or -EFAULT, -ESRCH. */
int target_read(const struct call *call, uint64_t address, void *data, size_t size);
int target_write(const struct call *call, uint64_t address, const void *data,
		 size_t size);
/* Duplicates descriptor @number of the program. Return: descriptor or -errno (-EBADF). */
int target_get_fd(const struct call *call, int number);
/* Return: a pidfd of its process, the caller's, or -errno. */
int target_open_process(const struct call *call);
int target_signal(const struct call *call, int signal);
/* Reads the address argument of a call, as the kernel would.
 * Return: 0, -EINVAL (length), -EFAULT. */
int target_read_address(const struct call *call, uint64_t pointer, uint64_t size,
			union address *ret_address, socklen_t *ret_size);
bool target_is_nested(const struct call *call);
/* May anybody else change the descriptor table of the calling thread? */
bool target_is_alone(const struct call *call);
/* Whether the thread has a signal to take. Return: TARGET_SIGNAL_*. */
enum target_signal {
	TARGET_SIGNAL_NONE,
	TARGET_SIGNAL_OWN,    /* pending for this very thread */
	TARGET_SIGNAL_SHARED, /* pending for the process; another thread may take it */
};
enum target_signal target_pending_signal(pid_t thread);
void target_close_all(struct worker *worker);

/* --- subject.c: the socket a call names, and moving it between stacks --- */

/*
 * Takes hold of the socket at @number. A subject that is not an inet socket has its
 * domain set and nothing else. Return: 0 or -errno; on success close subject->fd.
 */
int subject_open(const struct call *call, uint64_t number, struct subject *ret);
/* The same, faster for a TCP socket that subject_remember() was told of. */
int subject_open_known(const struct call *call, uint64_t number, struct subject *ret);
void subject_remember(const struct call *call, int fd, int domain, uint64_t netns);
/* The stack @endpoint is in. */
struct stack *subject_endpoint_stack(const struct notify *notify,
				     const struct endpoint *endpoint);
/* The stack @verdict asks for; NULL: the program's own. */
struct stack *subject_stack(const struct notify *notify,
			    const struct policy_verdict *verdict);
bool subject_is_v6only(const struct subject *subject);
/* Is a port bound? Fills the local address. Return: port in host order, 0 if none. */
uint16_t subject_local(const struct subject *subject, union address *ret_address,
		       socklen_t *ret_size);
/*
 * Replaces the socket under every number the calling process has for it by a new one
 * from @stack (AF_UNIX if @to_unix), with options, flags and binding carried over, and
 * makes @subject name the new one. Registrations with epoll follow in
 * subject_move_finish(), once the new socket is on its way: a fresh one would report a
 * hang-up that the old one never had.
 * Return: 0 or -errno.
 */
int subject_move(struct call *call, struct subject *subject, struct stack *stack,
		 bool to_unix);
/* The same, by @new, which is the callee's on success, with flags carried over only. */
int subject_replace(struct call *call, struct subject *subject, int new);
void subject_move_finish(struct call *call, const struct subject *subject);
/* Where namespace @netns (a cookie) is. */
enum place subject_place(struct notify *notify, uint64_t netns);
bool subject_is_in(const struct subject *subject, const struct stack *stack);
uint64_t subject_cookie(const struct subject *subject);

/* --- move.c: see subject_move; carry_epoll.c --- */

/* Repeats on @to, under number @number, what epoll instance @epoll has for @from.
 * @info is the text of the instance's fdinfo. */
void carry_epoll(int epoll, const char *info, int number, int from, int to);

/* --- named.c: endpoints of the registry --- */

struct route;

struct named *named_new(const struct policy *policy);
struct named *named_free(struct named *named);
static inline bool is_named(const struct policy_verdict *verdict)
{
	return (verdict->target == POLICY_ENDPOINT || verdict->target == POLICY_FROM) &&
	       verdict->endpoint->kind == ENDPOINT_NAMED;
}
/* For such a verdict: puts the socket where the registry says, bound already or with the
 * address to connect it to. Return: 0 or -errno, as prepare(). */
int named_place(struct call *call, struct subject *subject, struct route *route);
/*
 * The same for a socket that names the endpoint itself: of the endpoint's own family.
 * @ret_address: where it is bound, or where to connect it.
 */
int named_move(struct call *call, struct subject *subject, enum policy_op op,
	       const char *name, struct wire_address *ret_address);
/* Where is it, and in which namespace? Return: 0 or -errno. */
int named_find(struct call *call, const struct subject *subject, const char *name,
	       struct wire_address *ret_address, uint64_t *ret_netns);
/* Did the registry grant sockets of namespace @netns (a cookie)? */
bool named_has_netns(struct notify *notify, uint64_t netns);

/* --- family.c, family_options.c: AF_GRAFT --- */

struct family *family_new(void);
struct family *family_free(struct family *family);
/* socket(AF_GRAFT). */
struct answer family_socket(struct call *call);
/* As prepare(), for a socket of the family; else, and for an address that is judged as
 * any, FAMILY_E_OTHER. */
#define FAMILY_E_OTHER 1
int family_prepare(struct call *call, struct subject *subject, struct route *route);
/* Keeps the books after a call that named an endpoint. */
void family_report(struct call *call, const struct subject *subject,
		   const struct route *route, int64_t result);
struct answer family_setsockopt(struct call *call, const struct subject *subject);

/* --- judge.c: policy applied to a subject --- */

/* Judges @address, AF_INET or AF_INET6, for @subject. */
void judge(struct call *call, const struct subject *subject, enum policy_op op,
	   const union address *address, struct policy_verdict *ret);
/* Keeps the books after a call that ended with @result: who hears of a graft, and what
 * --verbose says. */
void judge_report(struct call *call, const struct subject *subject, enum policy_op op,
		  const union address *asked, const struct policy_verdict *verdict,
		  int64_t result);

void judge_note_bound(struct notify *notify, const struct subject *subject,
		      const struct endpoint *endpoint);

/* --- judged.c: with config.is_judged, sockets that the kernel judges --- */

struct route;

struct answer judged_socket(struct call *call);
/* Before listen(). Return: 0 or -errno. */
int judged_listen(struct call *call, const struct subject *subject);
/* As prepare(), for a send. */
int judged_send(struct call *call, struct subject *subject, struct route *route);

/* --- guess.c: the stack of a socket that has no address yet --- */

void guess_init(struct notify *notify);
bool guess_is_host(const struct call *call, int family, enum policy_proto proto);
/* A connect of @subject ended in the host's stack, or in the program's own. */
void guess_learn(const struct call *call, const struct subject *subject, bool host);

/* --- the calls --- */

/* Each answers one call. @subject is the socket the call names, opened and closed by the
 * caller; NULL where it names none. */
struct answer call_socket(struct call *call, struct subject *subject);
struct answer call_bind(struct call *call, struct subject *subject);
struct answer call_connect(struct call *call, struct subject *subject);
struct answer call_listen(struct call *call, struct subject *subject);
struct answer call_sendto(struct call *call, struct subject *subject);
struct answer call_sendmsg(struct call *call, struct subject *subject);
struct answer call_sendmmsg(struct call *call, struct subject *subject);
struct answer call_setsockopt(struct call *call, struct subject *subject);
struct answer call_getsockopt(struct call *call, struct subject *subject);
struct answer call_namespace(struct call *call, struct subject *subject);

/* Installs @fd as the result of socket(). */
struct answer call_give(struct call *call, int fd, int type);

/* --- prepare.c: what bind, connect and sends with a name share --- */

/* An address on its way from the program to the kernel. */
struct route {
	enum policy_op op;
	union address asked; /* our copy of what the program named */
	socklen_t asked_size;
	union address address; /* what to use on subject->fd */
	socklen_t size;
	bool is_judged; /* verdict is set; else the kernel refuses or dissolves */
	bool is_held;   /* the endpoint's address is reached by somebody else's */
	bool is_bound;  /* the socket is bound already: nothing is left to do */
	bool is_named;  /* AF_GRAFT: the program named an endpoint */
	struct policy_verdict verdict;
};

/*
 * Judges route->asked and puts the socket where the verdict wants it. On return 0,
 * subject->fd is the socket and route->address the address to use on it; else -errno is
 * the program's answer.
 */
int prepare(struct call *call, struct subject *subject, struct route *route);
/* Is the socket in a state in which it can change places? Return: 0 or -errno. */
int prepare_can_move(struct call *call, const struct subject *subject, enum policy_op op);
/* Binds what is not bound yet. Return: 0 or -errno. */
int prepare_bind(struct call *call, const struct subject *subject,
		 const struct route *route);
/* Ends what prepare began: reports, and passes @result on. */
struct answer conclude(struct call *call, const struct subject *subject,
		       const struct route *route, int64_t result);
/* Does the blocking part of a call again until it ends or the program has a signal to
 * take. @again returns a result or -errno. Return: the program's answer. */
int64_t run_blocking(struct call *call, int fd, int timeout_option,
		     int64_t (*again)(void *context), void *context);
