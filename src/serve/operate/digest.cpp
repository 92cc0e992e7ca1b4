// OpenSSL's SHA-256 and comparison.
#include "serve/operate/digest.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <charconv>

namespace millrace {

Sha256 sha256(std::string_view text) {
  Sha256 digest{};
  ::SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

std::optional<Sha256> sha256_from_hex(std::string_view hex) {
  Sha256 digest{};
  if (hex.size() != 2 * digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const char* const begin = hex.data() + 2 * i;
    const auto [end, failed] = std::from_chars(begin, begin + 2, digest[i], 16);
    if (failed != std::errc() || end != begin + 2) return std::nullopt;
  }
  return digest;
}

bool equal_in_constant_time(const Sha256& a, const Sha256& b) {
  return ::CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace millrace
