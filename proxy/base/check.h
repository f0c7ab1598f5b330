/*
 * Assertions about ourselves, in two tiers. A client must never be able to
 * reach either: what others send is validated, not asserted.
 */
#ifndef STATWEIR_BASE_CHECK_H
#define STATWEIR_BASE_CHECK_H

#define MUSTUSE		  __attribute__((warn_unused_result))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
/*
 * A local buffer that is filled before it is read: the compiler is told to clear all others
 * (-ftrivial-auto-var-init), which for kilobytes and each message would show.
 */
#define NOT_CLEARED __attribute__((uninitialized))

/* Print the failed expression with its place on stderr and abort. */
_Noreturn void check_failed(const char *expr, const char *file, int line);

/* Always compiled in: our bug, cheap to see. */
#define CHECK(e) ((e) ? (void)0 : check_failed(#e, __FILE__, __LINE__))

/* Our bug, costly to see: test builds only (-DSTATWEIR_DEBUG). */
#ifdef STATWEIR_DEBUG
#define DCHECK(e) CHECK(e)
#else
#define DCHECK(e) ((void)sizeof(e))
#endif

#define UNREACHABLE(what) check_failed("unreachable: " what, __FILE__, __LINE__)

/* Objects that travel through void * begin with a magic number of their type. */
#define OBJ_CHECK(o, m) CHECK((o) != NULL && (o)->magic == (m))

#endif
