// Writes keys and values into the cache in its format. Included once per instruction set.

template <class Element>
static inline void store_converted(const float* x, std::size_t count, std::byte* to) {
  Element* elements = reinterpret_cast<Element*>(to);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(elements + i, load(x + i));
  if (i < count) {
    std::array<Element, kLanes> rest;
    store(rest.data(), load_part(x + i, count - i));
    std::memcpy(elements + i, rest.data(), (count - i) * sizeof(Element));
  }
}

// One scale for the whole vector.
static inline float store_quantized(const float* x, std::size_t count, std::byte* to) {
  Floats magnitudes = zero();
  Floats poison = zero();
  for (std::size_t i = 0; i < count; i += kLanes) {
    const Floats v = i + kLanes <= count ? load(x + i) : load_part(x + i, count - i);
    magnitudes = maximum(magnitudes, absolute(v));
    poison = fma(v, zero(), poison);
  }
  const Rounding rounding = rounding_of(magnitudes, poison);
  if (rounding.inverse == 0.0f) {
    std::memset(to, 0, count);
    return rounding.scale;
  }
  for (std::size_t i = 0; i < count; i += kLanes) {
    const std::size_t num = count - i < kLanes ? count - i : kLanes;
    const Floats v = num == kLanes ? load(x + i) : load_part(x + i, num);
    std::array<std::int8_t, kLanes> bytes;
    store(bytes.data(), rounded(v, rounding));
    std::memcpy(to + i, bytes.data(), num);
  }
  return rounding.scale;
}

static inline void store_vector(const float* x, std::size_t count, DType dtype, std::byte* to,
                                float* scale) {
  switch (dtype) {
    case DType::kF16:
      return store_converted<Float16>(x, count, to);
    case DType::kBF16:
      return store_converted<BFloat16>(x, count, to);
    case DType::kI8:
      *scale = store_quantized(x, count, to);
      return;
    default:
      std::memcpy(to, x, count * sizeof(float));
      return;
  }
}

static void kv_store(const KvStoreRange& range) {
  const KvLayerView& cache = *range.cache;
  const std::size_t width = element_bytes(cache.dtype);
  std::byte* key = cache.keys(range.block, range.kv_head) + range.offset * cache.head_dim * width;
  std::byte* value =
      cache.values(range.block, range.kv_head) + range.offset * cache.value_head_dim * width;
  store_vector(range.key, cache.head_dim, cache.dtype, key,
               cache.key_scales(range.block, range.kv_head) + range.offset);
  store_vector(range.value, cache.value_head_dim, cache.dtype, value,
               cache.value_scales(range.block, range.kv_head) + range.offset);
}
