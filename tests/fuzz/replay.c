/*
 * Runs a fuzz target over files, and over every file of a folder, without a fuzzer:
 * what once was found stays found.
 */
#include "proxy/base/check.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct tally {
	unsigned passed, failed;
};

/* A target aborts when it finds something: the name is there before it runs. */
static void run_file(const char *path, const struct stat *st, struct tally *t)
{
	size_t size = (size_t)st->st_size;
	uint8_t *data = malloc(size > 0 ? size : 1);
	FILE *f = fopen(path, "rb");

	CHECK(data != NULL);
	if (f == NULL || fread(data, 1, size, f) != size) {
		fprintf(stderr, "%s: not readable\n", path);
		t->failed++;
	} else {
		printf("%s\n", path);
		fflush(stdout);
		(void)LLVMFuzzerTestOneInput(data, size);
		t->passed++;
	}
	if (f != NULL)
		fclose(f);
	free(data);
}

static void run_path(const char *path, struct tally *t);

static void run_folder(const char *path, struct tally *t)
{
	char child[4096];
	struct dirent *e;
	DIR *d = opendir(path);

	if (d == NULL) {
		fprintf(stderr, "%s: not readable\n", path);
		t->failed++;
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, e->d_name);
		run_path(child, t);
	}
	closedir(d);
}

static void run_path(const char *path, struct tally *t)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: not there\n", path);
		t->failed++;
	} else if (S_ISDIR(st.st_mode)) {
		run_folder(path, t);
	} else {
		run_file(path, &st, t);
	}
}

int main(int argc, char **argv)
{
	struct tally t = {0, 0};

	for (int i = 1; i < argc; i++)
		run_path(argv[i], &t);
	printf("%u passed, %u failed\n", t.passed, t.failed);
	return t.failed == 0 && t.passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
