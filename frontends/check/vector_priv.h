/*
 * frontends/check/vector_priv.h - what the readers and writers of vector files share.
 *
 * You are here: private to frontends/check/; vector.c opens files, moo.c and json.c know a format.
 */
#ifndef FRONTENDS_CHECK_VECTOR_PRIV_H
#define FRONTENDS_CHECK_VECTOR_PRIV_H

#include "frontends/check/vector.h"

struct vector_file {
    u8 *data; /* unpacked */
    size_t size;
    enum vector_format format;
    struct vector_meta meta;
    struct test_at {
        u32 at, len; /* of a test in data: MOO's payload, JSON's object */
    } * tests;
    u32 n_tests, cap_tests;
    char name[128];
};

/* A growing byte buffer. failed: out of memory, stays set. */
struct buf {
    u8 *data;
    size_t len, cap;
    bool failed;
};
void buf_put(struct buf *b, const void *p, size_t n);
void buf_u8(struct buf *b, u8 v);
void buf_u16(struct buf *b, u16 v);
void buf_u32(struct buf *b, u32 v);
void buf_u64(struct buf *b, u64 v);
void buf_text(struct buf *b, const char *fmt, ...) printf_like(2, 3);

bool vector_add_test(struct vector_file *f, size_t at, size_t len);

/* Index f's tests and fill in f->meta. */
enum status moo_index(struct vector_file *f, struct error *err);
enum status json_index(struct vector_file *f, struct error *err);
enum status moo_read(const struct vector_file *f, u32 k, struct vector *v, struct error *err);
enum status json_read(const struct vector_file *f, u32 k, struct vector *v, struct error *err);
/* The flags-mask entries of a suite's metadata.json; mask starts out all ones. False: no such file.
 */
bool json_masks(const char *text, size_t len, u16 mask[256][8]);
/* What stands before the first test, of n tests in all; one test. */
void moo_put_head(struct buf *b, const struct vector_meta *m, u32 n);
void moo_put_test(struct buf *b, const struct vector_meta *m, const struct vector *v);
/* first: of the file, which has what MOO has in its head. */
void json_put_test(struct buf *b, const struct vector_meta *m, const struct vector *v, bool first);

#endif
