/* Parts of the throttle: classes, logarithms, buckets, rates by key, histogram. */
#include "proxy/core/throttle_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static const struct {
	const char *method, *target, *endpoint;
	enum throttle_class cls;
} class_cases[] = {
	{"CCM_POST", "/ccm_system/request", "StatusReceiver", THROTTLE_STATUS},
	{"CCM_POST", "/CCM_System/request", "statusreceiver", THROTTLE_STATUS},
	{"CCM_POST", "http://mp/ccm_system/request", "StatusReceiver", THROTTLE_STATUS},
	{"CCM_POST", "/ccm_system_AltAuth/request", "StatusReceiver", THROTTLE_STATUS},
	{"CCM_POST", "/ccm_system/request", "MP_RelayEndpoint", THROTTLE_STATE},
	{"CCM_POST", "/ccm_system/request", "MP_HinvEndpoint", THROTTLE_INVENTORY},
	{"CCM_POST", "/ccm_system/request", "MP_DdrEndpoint", THROTTLE_INVENTORY},
	{"CCM_POST", "/ccm_system/request", "Something_New", THROTTLE_INVENTORY},
	{"CCM_POST", "/ccm_system/request", "MP_PolicyManager", THROTTLE_POLICY},
	{"CCM_POST", "/ccm_system/request", "MP_LocationManager", THROTTLE_POLICY},
	{"CCM_POST", "/ccm_system/request", "MP_ClientRegistration", THROTTLE_POLICY},
	{"CCM_POST", "/ccm_system/request", "", THROTTLE_OTHER},
	{"CCM_POST", "/ccm_systems/request", "StatusReceiver", THROTTLE_OTHER},
	{"CCM_POST", "/elsewhere", "StatusReceiver", THROTTLE_OTHER},
	{"GET", "/SMS_MP/.sms_aut?MPLIST", "", THROTTLE_HEALTH},
	{"GET", "/sms_mp/.sms_aut?mplist1&P01", "", THROTTLE_HEALTH},
	{"HEAD", "/SMS_MP/.sms_aut?MPCERT", "", THROTTLE_HEALTH},
	{"GET", "/SMS_MP/.sms_aut?MPLOCATION&ir=1&ip=2", "", THROTTLE_POLICY},
	{"GET", "/SMS_MP/.sms_aut?MPKEYINFORMATION", "", THROTTLE_POLICY},
	{"GET", "/SMS_MP/.sms_pol?{ab}.1_00", "", THROTTLE_POLICY},
	{"GET", "/SMS_MP_WindowsAuth/.sms_pol?x", "", THROTTLE_POLICY},
	{"GET", "/SMS_MP/.sms_dcm?x", "", THROTTLE_POLICY},
	{"GET", "/SMS_MP/other", "", THROTTLE_OTHER},
	{"GET", "/SMS_MPX/.sms_pol?x", "", THROTTLE_OTHER},
	{"GET", "/SMS_DP_SMSPKG/x", "", THROTTLE_OTHER},
	{"GET", "/x?/SMS_MP/.sms_pol", "", THROTTLE_OTHER},
	{"BITS_POST", "/CCM_Incoming/{guid}", "", THROTTLE_BITS},
	{"BITS_POST", "/anywhere", "", THROTTLE_BITS},
	{"PUT", "/ccm_incoming/x", "", THROTTLE_BITS},
	{"GET", "http://mp", "", THROTTLE_OTHER},
	{"OPTIONS", "*", "", THROTTLE_OTHER},
	{"GET", "", "", THROTTLE_OTHER},
	{"GET", "?", "", THROTTLE_OTHER},
};

static void test_throttle_classify_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(class_cases) / sizeof(class_cases[0]); i++) {
		enum throttle_class c = throttle_classify(slice_str(class_cases[i].method),
							  slice_str(class_cases[i].target),
							  slice_str(class_cases[i].endpoint));

		if (c != class_cases[i].cls)
			fail_msg("%s %s %s: %s", class_cases[i].method, class_cases[i].target,
				 class_cases[i].endpoint, throttle_class_name(c));
	}
}

static void test_throttle_log2_and_back(void **state)
{
	(void)state;
	assert_true(throttle_log2(1) == 0);
	assert_true(throttle_log2(1024) == 10);
	assert_true(throttle_exp2(-1) == 0.5);
	for (double x = 0.001; x < 1e9; x *= 1.01) {
		double back = throttle_exp2(throttle_log2(x));

		assert_true(back > x * 0.99 && back < x * 1.01);
	}
	assert_true(throttle_exp2(-5000) == 0);
	assert_true(throttle_exp2(5000) > 1e300);
}

static void test_bucket_fills_to_burst(void **state)
{
	struct bucket b = {0};

	(void)state;
	assert_true(bucket_has(&b, S)); /* no limit */
	bucket_set(&b, 10, 2);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(bucket_has(&b, S));
		bucket_take(&b);
	}
	assert_false(bucket_has(&b, S));
	assert_in_range(bucket_next_us(&b, S), S + 99999, S + 100001);
	assert_true(bucket_has(&b, S + 100001));
	assert_true(bucket_has(&b, 1000 * S));
	assert_true(b.tokens <= 2);
	/* A day without a call, or a clock that stands: nothing breaks. */
	bucket_take(&b);
	assert_true(bucket_has(&b, 1000 * S));
	bucket_take(&b);
	assert_false(bucket_has(&b, 999 * S));
}

static void test_keyed_rate_per_key(void **state)
{
	struct keyed_rate k = {0};

	(void)state;
	assert_true(keyed_next_us(&k, 5, S) <= S); /* no limit: no table */
	assert_null(k.slots);
	assert_int_equal(keyed_set(&k, 2, 3), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(keyed_next_us(&k, 5, S) <= S);
		keyed_take(&k, 5, S);
	}
	assert_int_equal(keyed_next_us(&k, 5, S), S + S / 2);
	assert_true(keyed_next_us(&k, 6, S) <= S);
	keyed_take(&k, 0, S); /* no key: never limited */
	assert_true(keyed_next_us(&k, 0, S) <= S);
	assert_true(keyed_next_us(&k, 5, 2 * S) <= 2 * S);
	keyed_fini(&k);
}

/* More keys than places: the table stays as it is, evictions of debtors are counted. */
static void test_keyed_rate_memory_bounded(void **state)
{
	struct keyed_rate k = {0};

	(void)state;
	assert_int_equal(keyed_set(&k, 1, 1), 0);
	for (uint64_t i = 1; i <= 4 * KEYED_SETS * KEYED_WAYS; i++)
		keyed_take(&k, i * 0x9e3779b97f4a7c15u, S);
	assert_true(k.n_evictions > 2 * KEYED_SETS * KEYED_WAYS);
	/* Whoever has paid leaves without a count. */
	k.n_evictions = 0;
	for (uint64_t i = 1; i <= KEYED_SETS; i++)
		keyed_take(&k, (i + 1000000) * 0x9e3779b97f4a7c15u, 100 * S);
	assert_true(k.n_evictions < KEYED_SETS / 50);
	keyed_fini(&k);
}

static void test_hist_percentiles_within_an_eighth(void **state)
{
	static struct hist h;

	(void)state;
	assert_int_equal(hist_percentile(&h, 0.5), 0);
	for (int64_t us = 1; us <= 1000; us++)
		hist_add(&h, us * 1000);
	assert_in_range(hist_percentile(&h, 0.5), 450000, 560000);
	assert_in_range(hist_percentile(&h, 0.99), 900000, 1100000);
	assert_true(hist_percentile(&h, 0) < 1100);
	hist_add(&h, 0);
	hist_add(&h, INT64_MAX);
	/* Forgotten after two turns. */
	hist_turn(&h, 61 * S);
	assert_true(hist_percentile(&h, 0.5) > 0);
	hist_turn(&h, 122 * S);
	assert_int_equal(hist_percentile(&h, 0.5), 0);
}

static void test_meter_follows(void **state)
{
	struct meter m = {0};

	(void)state;
	for (int64_t us = S; us < 30 * S; us += S / 10) {
		m.n += 5;
		meter_tick(&m, us);
	}
	assert_true(m.rate > 48 && m.rate < 52);
	meter_tick(&m, 200 * S);
	assert_true(m.rate < 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_throttle_classify_table),
		cmocka_unit_test(test_throttle_log2_and_back),
		cmocka_unit_test(test_bucket_fills_to_burst),
		cmocka_unit_test(test_keyed_rate_per_key),
		cmocka_unit_test(test_keyed_rate_memory_bounded),
		cmocka_unit_test(test_hist_percentiles_within_an_eighth),
		cmocka_unit_test(test_meter_follows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
