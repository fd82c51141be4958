/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

#include "base/log.h"
#include "runtime/complain.h"

static const char *log_path;
static bool log_is_json;

void complain_to(const char *path, bool is_json)
{
	log_path = path;
	log_is_json = is_json;
}

static void write_line(FILE *file, const char *text, const char *now)
{
	struct json_object *object;

	if (!log_is_json) {
		fprintf(file, "time=\"%s\" level=error msg=\"graft-runtime: %s\"\n", now,
			text);
		return;
	}
	object = json_object_new_object();
	if (!object)
		return;
	json_object_object_add(object, "level", json_object_new_string("error"));
	json_object_object_add(object, "msg", json_object_new_string(text));
	json_object_object_add(object, "time", json_object_new_string(now));
	fprintf(file, "%s\n",
		json_object_to_json_string_ext(object,
					       JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
}

void complain(const char *format, ...)
{
	char text[512], now[40];
	_cleanup_fclose_ FILE *file = NULL;
	time_t seconds = time(NULL);
	struct tm tm;
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_error("%s", text);
	file = log_path ? fopen(log_path, "ae") : NULL;
	if (!file)
		return;
	gmtime_r(&seconds, &tm);
	strftime(now, sizeof(now), "%Y-%m-%dT%H:%M:%SZ", &tm);
	write_line(file, text, now);
}
