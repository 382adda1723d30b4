/*
 * zipf: see zipf.h.
 *
 * With h(x) = x^-s and its integral H, a point u is drawn evenly between
 * H(1.5) - 1 and H(n + 0.5), and x = H^-1(u) is rounded to a rank k. The strip
 * of k, from H(k - 0.5) to H(k + 0.5), is longer than h(k), for h is convex: k
 * is kept if u lies in the last h(k) of it.
 */
#include "bench/zipf.h"

#include "bench/random.h"

#include <math.h>

/* (e^x - 1) / x and log(1 + x) / x, also near 0 */
static double grown(double x)
{
	return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

static double shrunk(double x)
{
	return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

static double density(const struct jt_zipf *z, double x)
{
	return exp(-z->s * log(x));
}

static double integral(const struct jt_zipf *z, double x)
{
	double l = log(x);

	return grown((1 - z->s) * l) * l;
}

static double integral_inverse(const struct jt_zipf *z, double u)
{
	double t = u * (1 - z->s);

	if (t < -1) /* rounding */
		t = -1;
	return exp(shrunk(t) * u);
}

void jt_zipf_init(struct jt_zipf *z, uint64_t n, double s)
{
	z->s = s;
	z->n = (double)n;
	z->from = integral(z, 1.5) - 1;
	z->to = integral(z, z->n + 0.5);
	z->sure = 2 - integral_inverse(z, integral(z, 2.5) - density(z, 2));
}

uint64_t jt_zipf_next(const struct jt_zipf *z, uint64_t *random)
{
	double u, x, k;

	do {
		u = z->to + jt_random_share(random) * (z->from - z->to);
		x = integral_inverse(z, u);
		k = floor(x + 0.5);
		if (k < 1)
			k = 1;
		else if (k > z->n)
			k = z->n;
	} while (k - x > z->sure && u < integral(z, k + 0.5) - density(z, k));
	return (uint64_t)k;
}
