// Row by row: norms, rotation, quantisation. Included once per instruction set.

static void rms_norm(const float* x, const float* weight, float eps, std::size_t count, float* y) {
  Floats squares = zero();
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    const Floats v = load(x + i);
    squares = fma(v, v, squares);
  }
  const std::size_t rest = count - i;
  if (rest != 0) {
    const Floats v = load_part(x + i, rest);
    squares = fma(v, v, squares);
  }
  const float mean = sum(squares) / static_cast<float>(count);
  const Floats factor = broadcast(1.0f / std::sqrt(mean + eps));
  for (i = 0; i + kLanes <= count; i += kLanes) {
    store(y + i, load(x + i) * factor * load(weight + i));
  }
  if (rest != 0) {
    store_part(y + i, load_part(x + i, rest) * factor * load_part(weight + i, rest), rest);
  }
}

// What lies past `rest` in a partial vector is set to zero: it counts in no sum.
static inline Floats centred_part(const float* x, Floats mean, std::size_t rest) {
  alignas(64) float values[kLanes] = {};
  store(values, load_part(x, rest) - mean);
  return load_part(values, rest);
}

static inline Floats scaled_and_shifted(Floats v, const LayerNormWeights& weights, std::size_t i) {
  if (weights.weight != nullptr) v = v * load(weights.weight + i);
  return weights.bias != nullptr ? v + load(weights.bias + i) : v;
}

static void layer_norm(const float* x, const LayerNormWeights& weights, float eps,
                       std::size_t count, float* y) {
  const std::size_t whole = count - count % kLanes;
  const std::size_t rest = count - whole;
  Floats total = zero();
  for (std::size_t i = 0; i < whole; i += kLanes) total = total + load(x + i);
  if (rest != 0) total = total + load_part(x + whole, rest);
  const Floats mean = broadcast(sum(total) / static_cast<float>(count));
  Floats squares = zero();
  for (std::size_t i = 0; i < whole; i += kLanes) {
    const Floats v = load(x + i) - mean;
    squares = fma(v, v, squares);
  }
  if (rest != 0) {
    const Floats v = centred_part(x + whole, mean, rest);
    squares = fma(v, v, squares);
  }
  const Floats factor = broadcast(1.0f / std::sqrt(sum(squares) / static_cast<float>(count) + eps));
  for (std::size_t i = 0; i < whole; i += kLanes) {
    store(y + i, scaled_and_shifted((load(x + i) - mean) * factor, weights, i));
  }
  if (rest == 0) return;
  Floats v = centred_part(x + whole, mean, rest) * factor;
  if (weights.weight != nullptr) v = v * load_part(weights.weight + whole, rest);
  if (weights.bias != nullptr) v = v + load_part(weights.bias + whole, rest);
  store_part(y + whole, v, rest);
}

static inline void rope_halves(float* x, const RopeRange& range) {
  float* first = x;
  float* second = x + range.num_pairs;
  std::size_t i = 0;
  for (; i + kLanes <= range.num_pairs; i += kLanes) {
    const Floats a = load(first + i);
    const Floats b = load(second + i);
    const Floats c = load(range.cos + i);
    const Floats s = load(range.sin + i);
    store(first + i, a * c - b * s);
    store(second + i, b * c + a * s);
  }
  for (; i < range.num_pairs; ++i) {
    const float a = first[i];
    const float b = second[i];
    first[i] = a * range.cos[i] - b * range.sin[i];
    second[i] = b * range.cos[i] + a * range.sin[i];
  }
}

static inline void rope_adjacent(float* x, const RopeRange& range) {
  for (std::size_t i = 0; i < range.num_pairs; ++i) {
    const float a = x[2 * i];
    const float b = x[2 * i + 1];
    x[2 * i] = a * range.cos[i] - b * range.sin[i];
    x[2 * i + 1] = b * range.cos[i] + a * range.sin[i];
  }
}

static void rope(const RopeRange& range) {
  for (std::size_t h = 0; h < range.num_heads; ++h) {
    float* x = range.x + h * range.head_dim;
    if (range.pairs == RopePairs::kHalves) {
      rope_halves(x, range);
    } else {
      rope_adjacent(x, range);
    }
  }
}

// Quantised to -127..127 with scale = max|x| / 127. A group that holds a NaN or an infinity gets
// the scale NaN and zeros, so that all it feeds is NaN. One whose values are all below 1e-36 gets
// zeros and the scale zero.
struct Rounding {
  float scale = 0;
  float inverse = 0;
};
static inline Rounding rounding_of(Floats magnitudes, Floats poison) {
  const float highest = largest(magnitudes);
  if (sum(poison) != 0.0f) return {.scale = NAN, .inverse = 0.0f};
  if (highest < 1e-36f) return {};
  return {.scale = highest / 127.0f, .inverse = 127.0f / highest};
}

// The values that `rounding` gives: integral, in -127..127, zeros where x is NaN or infinite.
static inline Floats rounded(Floats x, const Rounding& rounding) {
  const Floats scaled = x * broadcast(rounding.inverse);
  return round_nearest(minimum(maximum(scaled, broadcast(-127.0f)), broadcast(127.0f)));
}

static void quantize_row(const float* x, std::size_t num_cols, std::int8_t* values, float* scales,
                         std::int32_t* sums) {
  for (std::size_t g = 0; g < num_cols / kWeightGroup; ++g, x += kWeightGroup) {
    Floats magnitudes = zero();
    Floats poison = zero();
    for (std::size_t i = 0; i < kWeightGroup; i += kLanes) {
      const Floats v = load(x + i);
      magnitudes = maximum(magnitudes, absolute(v));
      poison = fma(v, zero(), poison);
    }
    const Rounding rounding = rounding_of(magnitudes, poison);
    scales[g] = rounding.scale;
    for (std::size_t half = 0; half < kWeightGroup; half += kSumGroup) {
      Floats total = zero();
      for (std::size_t i = half; i < half + kSumGroup; i += kLanes) {
        const Floats q = rounding.inverse == 0.0f ? zero() : rounded(load(x + i), rounding);
        store(values + g * kWeightGroup + i, q);
        total = total + q;
      }
      *sums++ = static_cast<std::int32_t>(sum(total));  // Exact: at most 16 * 127.
    }
  }
}
