/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parts of JSON that somebody else wrote: what is not as it should be is not there.
 */
#pragma once

#include <json-c/json.h>
#include <stddef.h>

/* Return: borrowed, or NULL. */
static inline struct json_object *json_part(struct json_object *object, const char *key)
{
	return json_object_is_type(object, json_type_object)
		       ? json_object_object_get(object, key)
		       : NULL;
}

/* Return: borrowed, or NULL: no text. */
static inline const char *json_part_text(struct json_object *object, const char *key)
{
	struct json_object *value = json_part(object, key);

	return json_object_is_type(value, json_type_string)
		       ? json_object_get_string(value)
		       : NULL;
}

/* Return: how many members; 0: it is no array. */
static inline size_t json_part_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array)
		       ? json_object_array_length(array)
		       : 0;
}
