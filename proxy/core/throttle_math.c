/* Logarithms for the limiter: a few nanoseconds, and no libm. */
#include "proxy/core/throttle_priv.h"

#include <string.h>

_Static_assert(sizeof(double) == sizeof(uint64_t), "IEEE 754 double");

/* Exponent, and a parabola through log2(1 + m) at its ends. */
double throttle_log2(double x)
{
	uint64_t bits;
	double m;

	memcpy(&bits, &x, sizeof(bits));
	m = (double)(bits & ((UINT64_C(1) << 52) - 1)) / (double)(UINT64_C(1) << 52);
	return (double)((int64_t)(bits >> 52 & 0x7ff) - 1023) + m + 0.3431 * m * (1 - m);
}

double throttle_exp2(double x)
{
	int64_t whole;
	uint64_t bits;
	double f, power;

	if (x < -1000)
		return 0;
	if (x > 1000)
		x = 1000;
	whole = (int64_t)x;
	if ((double)whole > x)
		whole--;
	f = x - (double)whole;
	bits = (uint64_t)(whole + 1023) << 52;
	memcpy(&power, &bits, sizeof(power));
	return power * (1 + f * (0.6565 + 0.3435 * f));
}
