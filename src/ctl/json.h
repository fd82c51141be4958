/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>

struct endpoint;
struct wire_endpoint;
struct wire_message;

/* A message as an object, fields named as in wire.c; the caller's. */
struct json_object *json_from_message(const struct wire_message *message);
/* What graftd told of @endpoint; the caller's. */
struct json_object *json_from_endpoint(const struct wire_endpoint *told,
				       const struct endpoint *endpoint);
/* A text from elsewhere, made valid UTF-8. */
struct json_object *json_text(const char *text);
/* Prints @object to stdout and releases it. Return: an exit status. */
int json_show(struct json_object *object);
