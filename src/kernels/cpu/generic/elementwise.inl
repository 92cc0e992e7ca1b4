// Activations, sums and scalings over ranges of elements. Included once per instruction set.

template <Activation kActivation>
static inline Floats activated(Floats x) {
  const Floats one = broadcast(1.0f);
  if constexpr (kActivation == Activation::kSilu) {
    return x / (one + exponential(zero() - x));
  } else if constexpr (kActivation == Activation::kGelu) {
    return x * normal_distribution(x);
  } else if constexpr (kActivation == Activation::kGeluTanh) {
    // (1 + tanh(u)) / 2 = 1 / (1 + e^(-2u)): no cancellation for negative x.
    const Floats cube = fma(x * x * x, broadcast(0.044715f), x);
    return x / (one + exponential(cube * broadcast(-1.59576912f)));  // -2 sqrt(2 / pi)
  } else if constexpr (kActivation == Activation::kRelu) {
    return maximum(zero(), x);  // NaN stays NaN.
  } else {
    const Floats positive = maximum(zero(), x);
    return positive * positive;
  }
}

template <Activation kActivation>
static inline void gated_range(const float* gate, const float* up, std::size_t count, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(y + i, activated<kActivation>(load(gate + i)) * load(up + i));
  }
  if (i < count) {
    const std::size_t rest = count - i;
    const Floats act = activated<kActivation>(load_part(gate + i, rest));
    store_part(y + i, act * load_part(up + i, rest), rest);
  }
}

template <Activation kActivation>
static inline void activate_range(const float* x, std::size_t count, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, activated<kActivation>(load(x + i)));
  if (i < count) {
    const std::size_t rest = count - i;
    store_part(y + i, activated<kActivation>(load_part(x + i, rest)), rest);
  }
}

static void gated_activation(Activation activation, const float* gate, const float* up,
                             std::size_t count, float* y) {
  switch (activation) {
    case Activation::kSilu:
      return gated_range<Activation::kSilu>(gate, up, count, y);
    case Activation::kGelu:
      return gated_range<Activation::kGelu>(gate, up, count, y);
    case Activation::kGeluTanh:
      return gated_range<Activation::kGeluTanh>(gate, up, count, y);
    case Activation::kRelu:
      return gated_range<Activation::kRelu>(gate, up, count, y);
    case Activation::kRelu2:
      return gated_range<Activation::kRelu2>(gate, up, count, y);
  }
}

// Minima and maxima with the limit first: NaN stays NaN.
static inline Floats clamped_gate_of(const ClampedGate& clamp, Floats gate, Floats up) {
  const Floats limit = broadcast(clamp.limit);
  const Floats one = broadcast(1.0f);
  const Floats g = minimum(limit, gate);
  const Floats u = maximum(zero() - limit, minimum(limit, up));
  return (u + one) * (g / (one + exponential(broadcast(-clamp.steepness) * g)));
}

static void clamped_gate(const ClampedGate& clamp, const float* gate, const float* up,
                         std::size_t count, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(y + i, clamped_gate_of(clamp, load(gate + i), load(up + i)));
  }
  if (i < count) {
    const std::size_t rest = count - i;
    store_part(y + i, clamped_gate_of(clamp, load_part(gate + i, rest), load_part(up + i, rest)),
               rest);
  }
}

static void activate(Activation activation, const float* x, std::size_t count, float* y) {
  switch (activation) {
    case Activation::kSilu:
      return activate_range<Activation::kSilu>(x, count, y);
    case Activation::kGelu:
      return activate_range<Activation::kGelu>(x, count, y);
    case Activation::kGeluTanh:
      return activate_range<Activation::kGeluTanh>(x, count, y);
    case Activation::kRelu:
      return activate_range<Activation::kRelu>(x, count, y);
    case Activation::kRelu2:
      return activate_range<Activation::kRelu2>(x, count, y);
  }
}

static void add(const float* x, std::size_t count, float* y) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, load(y + i) + load(x + i));
  for (; i < count; ++i) y[i] += x[i];
}

static void scale(float factor, std::size_t count, float* x) {
  const Floats factors = broadcast(factor);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(x + i, load(x + i) * factors);
  for (; i < count; ++i) x[i] *= factor;
}

static void softcap(float cap, std::size_t count, float* x) {
  const Floats caps = broadcast(cap);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(x + i, caps * hyperbolic_tangent(load(x + i) / caps));
  }
  if (i < count) {
    const std::size_t rest = count - i;
    store_part(x + i, caps * hyperbolic_tangent(load_part(x + i, rest) / caps), rest);
  }
}

static void add_scaled(float factor, const float* x, std::size_t count, float* y) {
  const Floats factors = broadcast(factor);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    store(y + i, fma(factors, load(x + i), load(y + i)));
  }
  if (i < count) {
    const std::size_t rest = count - i;
    store_part(y + i, fma(factors, load_part(x + i, rest), load_part(y + i, rest)), rest);
  }
}
