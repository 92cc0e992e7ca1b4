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

// Spreads the elements of a token's key over its block: [D, block_tokens].
template <class Bits>
static inline void spread(const std::byte* from, std::size_t count, std::size_t stride, Bits* to) {
  for (std::size_t d = 0; d < count; ++d) {
    std::memcpy(to + d * stride, from + d * sizeof(Bits), sizeof(Bits));
  }
}

static inline void store_key(const KvStoreRange& range, std::byte* keys, float* scale) {
  const KvLayerView& cache = *range.cache;
  alignas(64) std::byte key[kHeadDimMax * sizeof(float)];
  store_vector(range.key, cache.head_dim, cache.dtype, key, scale);
  switch (element_bytes(cache.dtype)) {
    case 1:
      return spread(key, cache.head_dim, cache.block_tokens,
                    reinterpret_cast<std::uint8_t*>(keys) + range.offset);
    case 2:
      return spread(key, cache.head_dim, cache.block_tokens,
                    reinterpret_cast<std::uint16_t*>(keys) + range.offset);
    default:
      return spread(key, cache.head_dim, cache.block_tokens,
                    reinterpret_cast<std::uint32_t*>(keys) + range.offset);
  }
}

static void kv_store(const KvStoreRange& range) {
  const KvLayerView& cache = *range.cache;
  store_key(range, cache.keys(range.block, range.kv_head),
            cache.key_scales(range.block, range.kv_head) + range.offset);
  std::byte* value = cache.values(range.block, range.kv_head) +
                     range.offset * cache.value_head_dim * element_bytes(cache.dtype);
  store_vector(range.value, cache.value_head_dim, cache.dtype, value,
               cache.value_scales(range.block, range.kv_head) + range.offset);
}
