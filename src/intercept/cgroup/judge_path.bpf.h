/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rule on a path of a UNIX socket: path_index_first() of policy/path.c, in an image.
 * As judge.bpf.h, which it is included after.
 */
#ifndef CGROUP_JUDGE_PATH_H
#define CGROUP_JUDGE_PATH_H

/* As struct path_key. */
struct judge_path {
	image_u32 word[4 * IMAGE_PATH];
};

struct judge_path_search {
	const struct judge_path *path;
	JUDGE_IMAGE image;
	image_u32 first; /* cell of the first start */
	image_u32 at, n; /* starts */
};

/* Is the start in the cells from @at on above @path? */
JUDGE_CALL int judge_path_is_above(JUDGE_IMAGE image, image_u32 at,
				   const struct judge_path *path)
{
	JUDGE_CELLS cells = judge_open(image);

	if (!cells || !path)
		return 1;
#pragma GCC unroll 7
	for (int i = 0; i < IMAGE_PATH; i++) {
		const struct image_cell *cell = judge_cell(cells, at + (image_u32)i);

		if (!cell)
			return 1;
		for (int k = 0; k < 4; k++)
			if (cell->word[k] != path->word[4 * i + k])
				return cell->word[k] > path->word[4 * i + k];
	}
	return 0;
}

static long judge_path_halve(image_u32 i, void *context)
{
	struct judge_path_search *search = context;
	image_u32 half = search->n / 2;

	(void)i;
	if (!half)
		return 1;
	if (!judge_path_is_above(search->image,
				 search->first + IMAGE_PATH * (search->at + half),
				 search->path))
		search->at += half;
	search->n -= half;
	return 0;
}

/* The rule that decides a connect to @path. Return: its number, or IMAGE_NONE. */
JUDGE_CALL image_u32 judge_path(JUDGE_IMAGE image, const struct judge_path *path)
{
	struct judge_path_search search = {};
	JUDGE_CELLS cells = judge_open(image);
	const struct image_cell *head, *rules;

	head = cells ? judge_cell(cells, IMAGE_PATHS) : NULL;
	if (!head || !path)
		return IMAGE_NONE;
	search.path = path;
	search.image = image;
	search.first = head->word[0];
	search.n = head->word[1];
	JUDGE_LOOP(JUDGE_SEARCH, judge_path_halve, &search);
	rules = judge_cell(cells, head->word[2] + search.at / 4);
	return rules ? rules->word[search.at & 3] : IMAGE_NONE;
}

#endif
