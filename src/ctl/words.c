/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words of an endpoint, looked at one by one; what they say together is for
 * endpoint_parse().
 */
#include <errno.h>
#include <grp.h>
#include <linux/magic.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ctl/words.h"

#define WORD_MAX    512
#define PID_DIGITS  9
#define NETNS_DIR   "/run/netns/"
#define ID_TEXT_MAX 64

struct line {
	const char *source;
	struct policy_error *error;
	struct wire_add *add;
	size_t len;
};

_printf_(2, 3) static int fail(const struct line *line, const char *format, ...)
{
	char *text = line->error->text;
	size_t size = sizeof(line->error->text), n;
	va_list args;

	snprintf(text, size, "%s: ", line->source);
	n = strlen(text);
	va_start(args, format);
	vsnprintf(text + n, size - n, format, args);
	va_end(args);
	return -EINVAL;
}

static int put(struct line *line, const char *text, size_t size)
{
	if (sizeof(line->add->line) - line->len <= size)
		return fail(line, "longer than the %zu bytes an endpoint may take",
			    sizeof(line->add->line) - 1);
	memcpy(line->add->line + line->len, text, size);
	line->len += size;
	line->add->line[line->len] = '\0';
	return 0;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* The last name looked up, since a batch asks for the same one again and again. */
struct cached_id {
	char name[ID_TEXT_MAX];
	unsigned int id;
};

static int put_id(struct line *line, const char *key, const char *name, bool is_user,
		  struct cached_id *cached)
{
	char text[ID_TEXT_MAX];

	if (strcmp(cached->name, name) != 0) {
		const struct passwd *user = is_user ? getpwnam(name) : NULL;
		const struct group *group = is_user ? NULL : getgrnam(name);

		if (!user && !group)
			return fail(line, "%s%s: no such %s", key, name,
				    is_user ? "user" : "group");
		cached->id = user ? user->pw_uid : group->gr_gid;
		snprintf(cached->name, sizeof(cached->name), "%s",
			 strlen(name) < sizeof(cached->name) ? name : "");
	}
	snprintf(text, sizeof(text), "%s%u", key, cached->id);
	return put(line, text, strlen(text));
}

/* Whether the namespace file @path is there, as far as we may look. */
static int check_netns_file(const struct line *line, const char *ref, const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) == 0 && fs.f_type != NSFS_MAGIC)
		return fail(line, "netns %s: this is no namespace", ref);
	if (access(path, F_OK) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return fail(line,
			    "netns %s: no such namespace; `ip netns` lists those with "
			    "a name",
			    ref);
	return 0;
}

/* @is_target: the endpoint will be there, so it must exist; others may come and go. */
static int put_netns(struct line *line, const char *ref, bool is_target)
{
	char path[sizeof(NETNS_DIR) + WORD_MAX];
	int r = 0;

	snprintf(path, sizeof(path), "%s%s", *ref == '/' ? "" : NETNS_DIR, ref);
	/* `ip netns` lets names be numbers, and such a name goes before a pid. */
	if (is_number(ref) && access(path, F_OK) == 0)
		return put(line, path, strlen(path));
	if (is_number(ref) && strlen(ref) <= PID_DIGITS &&
	    kill((pid_t)strtol(ref, NULL, 10), 0) < 0 && errno == ESRCH)
		return fail(line, "netns %s: no process has this number", ref);
	if (strchr(ref, '/') && ref[0] != '/')
		return fail(line, "netns %s: write the path from / on", ref);
	if (!strncmp(ref, "/proc/self/", 11) || !strncmp(ref, "/proc/thread-self/", 18))
		return fail(line,
			    "netns %s: is another one for each who reads it; name a pid",
			    ref);
	if (is_target && !is_number(ref))
		r = check_netns_file(line, ref, path);
	return r < 0 ? r : put(line, ref, strlen(ref));
}

/* COND[,COND...] */
static int put_who(struct line *line, char *who)
{
	static struct cached_id last_user, last_group;
	char *rest = who, *condition;
	int r = 0;

	while (r == 0 && (condition = strsep(&rest, ",")) != NULL) {
		const char *value = strchr(condition, '=');

		value = value ? value + 1 : "";
		if (!strncmp(condition, "uid=", 4) && *value && !is_number(value)) {
			r = put_id(line, "uid=", value, true, &last_user);
		} else if (!strncmp(condition, "gid=", 4) && *value &&
			   !is_number(value)) {
			r = put_id(line, "gid=", value, false, &last_group);
		} else if (!strncmp(condition, "netns=", 6)) {
			r = put(line, "netns=", 6);
			if (r == 0)
				r = put_netns(line, value, false);
		} else {
			r = put(line, condition, strlen(condition));
		}
		if (r == 0 && rest)
			r = put(line, ",", 1);
	}
	return r;
}

static bool is_access(const char *word)
{
	return !strcmp(word, "owner") || !strcmp(word, "binder") ||
	       !strcmp(word, "connector");
}

/* The next word, NUL-terminated in @ret. Return: 1, 0 at the end, -EINVAL. */
static int next_word(const struct line *line, const char **at, const char *end,
		     char ret[WORD_MAX])
{
	const char *from = *at;
	size_t n = 0;

	while (from < end && strchr(" \t\r\n", *from))
		from++;
	if (from == end || *from == '#')
		return 0;
	while (from + n < end && !strchr(" \t\r\n#", from[n]))
		n++;
	if (n >= WORD_MAX)
		return fail(line, "'%.40s...' is too long", from);
	memcpy(ret, from, n);
	ret[n] = '\0';
	*at = from + n;
	return 1;
}

/* @before: the word before it, or "" where no keyword can stand. */
static int put_word(struct line *line, char *word, const char *before)
{
	int r = line->len ? put(line, " ", 1) : 0;

	if (r < 0)
		return r;
	if (!strcmp(before, "netns"))
		return put_netns(line, word, true);
	if (is_access(before))
		return put_who(line, word);
	return put(line, word, strlen(word));
}

/* "bound 40321" is what `graft show` says of now, and no option: moves *@at past it. */
static bool skip_bound(const struct line *line, const char *word, const char **at,
		       const char *end)
{
	char number[WORD_MAX];
	const char *after = *at;

	if (strcmp(word, "bound") != 0 || next_word(line, &after, end, number) <= 0 ||
	    !is_number(number))
		return false;
	*at = after;
	return true;
}

static int put_words(struct line *line, const char *at, const char *end)
{
	char word[WORD_MAX], before[WORD_MAX] = "";
	int r;

	for (size_t n = 0; (r = next_word(line, &at, end, word)) > 0; n++) {
		if (n > 1 && skip_bound(line, word, &at, end))
			continue;
		r = put_word(line, word, n > 1 ? before : "");
		if (r < 0)
			return r;
		memcpy(before, word, sizeof(before));
	}
	return r;
}

int words_to_add(const char *source, const char *text, size_t size, struct wire_add *ret,
		 char ret_name[POLICY_NAME_MAX + 1], struct policy_error *error)
{
	struct wire_add add = { 0 };
	struct line line = { source, error, &add, 0 };
	struct endpoint endpoint;
	int r = put_words(&line, text, text + size);

	if (r < 0)
		return r;
	if (!line.len)
		return 1;
	r = endpoint_parse(&endpoint, source, add.line, line.len, error);
	if (r < 0)
		return r;
	snprintf(ret_name, POLICY_NAME_MAX + 1, "%s", endpoint.name);
	endpoint_release(&endpoint);
	*ret = add;
	return 0;
}
