// exp, tanh and the normal distribution on vectors. Included once per instruction set.

// e^x: 0 below -87.33, infinity above 88.37, NaN stays NaN. In between within 2^-22, relatively.
//
// Cody & Waite's reduction x = n ln2 + r with ln2 in two parts, so that n times the first is exact;
// then 1 + r + r^2 p(r), p of degree 4, minimax by relative error (3e-9) on |r| <= ln2 / 2.
static inline Floats exponential(Floats x) {
  const Floats n = round_nearest(
      minimum(broadcast(127.0f), maximum(broadcast(-126.0f), x * broadcast(1.44269504f))));
  Floats r = fma(n, broadcast(-0x1.62e4p-1f), x);
  r = fma(n, broadcast(-0x1.7f7d1cp-20f), r);
  Floats p = fma(broadcast(0x1.6a2354p-10f), r, broadcast(0x1.123a6cp-7f));
  p = fma(p, r, broadcast(0x1.5558f4p-5f));
  p = fma(p, r, broadcast(0x1.55549p-3f));
  p = fma(p, r, broadcast(0x1.fffffcp-2f));
  const Floats y = fma(r * r, p, r) + broadcast(1.0f);
  const Floats scaled = y * power_of_two(n);
  const Floats low = select(less(x, broadcast(-87.33f)), zero(), scaled);
  return select(less(broadcast(88.37f), x), broadcast(HUGE_VALF), low);
}

// Within 2^-21, relatively. An odd polynomial below 0.625 (minimax, 4e-9), where 1 - 2 / (e^2x + 1)
// would cancel.
static inline Floats hyperbolic_tangent(Floats x) {
  const Floats z = absolute(x);
  const Floats u = x * x;
  Floats p = fma(broadcast(-0.005704984534531832f), u, broadcast(0.0206390842795372f));
  p = fma(p, u, broadcast(-0.05373971536755562f));
  p = fma(p, u, broadcast(0.13331441581249237f));
  p = fma(p, u, broadcast(-0.3333328068256378f));
  const Floats small = fma(u * x, p, x);
  const Floats e = exponential(z + z);
  const Floats big = broadcast(1.0f) - broadcast(2.0f) / (e + broadcast(1.0f));
  return select(less(z, broadcast(0.625f)), small, with_sign(big, x));
}

// The standard normal distribution function. erfc(z) = e^(-z^2) P(t) with t = 1 / (1 + 0.4 z), the
// form of Abramowitz & Stegun 7.1.26 with a polynomial of degree 9 of our own (relative error 3e-8
// for z <= 9.5); the square in the exponent adds z^2 roundings.
static inline Floats normal_distribution(Floats x) {
  const Floats z = absolute(x) * broadcast(0.707106781f);
  const Floats t = broadcast(1.0f) / fma(z, broadcast(0.4f), broadcast(1.0f));
  Floats p = fma(broadcast(0.026942415162920952f), t, broadcast(-0.06536198407411575f));
  p = fma(p, t, broadcast(-0.08542734384536743f));
  p = fma(p, t, broadcast(0.30432191491127014f));
  p = fma(p, t, broadcast(-0.09190565347671509f));
  p = fma(p, t, broadcast(0.28095144033432007f));
  p = fma(p, t, broadcast(0.1732330471277237f));
  p = fma(p, t, broadcast(0.23223620653152466f));
  p = fma(p, t, broadcast(0.22497829794883728f));
  p = fma(p, t, broadcast(3.1686624424764886e-05f));
  const Floats upper = broadcast(0.5f) * p * exponential(zero() - z * z);
  return select(less(x, zero()), upper, broadcast(1.0f) - upper);
}
